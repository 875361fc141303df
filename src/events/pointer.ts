/** Longest pointer put into an error: keys come from outside and may be megabytes long. */
const MAX_POINTER_CHARACTERS = 300;

/**
 * JSON Pointer (RFC 6901) of a place, for error messages: names only. The middle of a very long one is cut out, and
 * characters that would break a line of a log are replaced.
 */
export function pointer(base: string, ...segments: readonly (string | number)[]): string {
  let text = base;
  for (const segment of segments) text += '/' + escapeSegment(segment);
  return clip(text);
}

/** One reference token of a JSON Pointer: `~` and `/` escaped as RFC 6901 §3 says. */
export function escapeSegment(segment: string | number): string {
  return String(segment).replaceAll('~', '~0').replaceAll('/', '~1');
}

function clip(text: string): string {
  const printable = text.length > 4 * MAX_POINTER_CHARACTERS ? shorten(text) : text;
  // eslint-disable-next-line no-control-regex -- control characters are exactly what must not reach a log line
  return shorten(printable.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?'));
}

function shorten(text: string): string {
  if (text.length <= MAX_POINTER_CHARACTERS) return text;
  const half = Math.floor(MAX_POINTER_CHARACTERS / 2) - 1;
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
