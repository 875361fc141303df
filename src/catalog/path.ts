/**
 * How the catalogue writes where a secret field lies: keys with dots between them, as OpenMetadata's documentation does.
 * `[]` behind a key says "each element of the array", `*` says "any key", and a backslash keeps a character that belongs
 * to the key: `schemaRegistryConfig.basic\.auth\.user\.info`.
 */

/** The segment that stands for any key of a map. */
export const ANY_KEY: unique symbol = Symbol('any key');

export type PathSegment = string | typeof ANY_KEY;

/**
 * Reads a catalogue path into its segments; `[]` marks are dropped, because the finder descends into arrays wherever
 * it meets them. Returns null where the text is not a path (empty, an empty segment, a backslash at the end).
 */
export function parsePath(text: string): PathSegment[] | null {
  const segments: PathSegment[] = [];
  for (const raw of splitAtDots(text)) {
    const key = raw.replace(/(?:\[\])+$/, '');
    if (key === '' || /(?<!\\)(?:\\\\)*\\$/.test(key)) return null;
    segments.push(key === '*' ? ANY_KEY : key.replace(/\\(.)/gsu, '$1'));
  }
  return segments;
}

/** Writes one key so that {@link parsePath} reads the same key. */
export function escapeKey(key: string): string {
  return key.replace(/[.\\[\]*]/g, '\\$&');
}

function splitAtDots(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '.') {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
