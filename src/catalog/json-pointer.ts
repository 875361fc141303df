/** JSON Pointers (RFC 6901): how secured events, errors and logs name a place in an entity. */

/** Writes a path of keys and array positions as a pointer; the empty path is the empty string, the whole document. */
export function formatPointer(path: readonly (string | number)[]): string {
  let pointer = '';
  for (const segment of path) {
    pointer += `/${String(segment).replace(/~/g, '~0').replace(/\//g, '~1')}`;
  }
  return pointer;
}

/** Reads a pointer into its keys; array positions stay text. Null where the text is not a pointer (RFC 6901 §3). */
export function parsePointer(pointer: string): string[] | null {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return null;
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replace(/~1/g, '/').replace(/~0/g, '~'));
}
