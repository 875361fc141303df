import type { IdStyle } from '../secrets-managers/port.js';
import { ownPrefixOf } from './styles.js';

/**
 * Whether a store could take this id for one below our own prefix, however it is written. Used to refuse references to
 * other connections' secrets (`REFERENCE_FOREIGN`), so it errs towards yes:
 *
 * - Secrets Manager and Parameter Store take an ARN in place of a name, Google Cloud `projects/…/secrets/NAME`, Azure a
 *   URL: what follows the marker is judged;
 * - Azure's names ignore case; stores behind HTTP may decode `%2f` and resolve `.` and `..` on the way; a missing or
 *   doubled slash, a backslash and white space are given the meaning a lenient reader would give them.
 *
 * What merely contains our prefix further inside (`/team/openmetadata/…`) is somebody else's.
 */
export function isUnderOwnPrefix(style: IdStyle, prefix: string, cluster: string, id: string): boolean {
  const own = ownPrefixOf(style, prefix, cluster);
  return spellings(id).some((text) =>
    style === 'slash'
      ? pathsOf(resourceOf(text)).some((path) => path.startsWith(own))
      : hasPartUnder(text, own),
  );
}

/**
 * Whether an id is within `ALLOWED_REFERENCE_PREFIXES`: begins with one of them, character for character, and has none
 * of the spellings by which a lenient store would leave that prefix again (`..`, `.`, `//`, `\`, `%`, control characters).
 */
export function isAllowedReference(id: string, allowedPrefixes: readonly string[]): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (/[\\%\s\u0000-\u001f\u007f]|\/\/|(^|\/)\.{1,2}(\/|$)/.test(id)) return false;
  return allowedPrefixes.some((allowed) => allowed !== '' && id.startsWith(allowed));
}

/** The id as written and as percent-decoded (several times over), in one form of letters. */
function spellings(id: string): string[] {
  const texts = [id];
  for (let round = 0; round < 3; round += 1) {
    const last = texts[texts.length - 1] ?? '';
    const decoded = decodePercent(last);
    if (decoded === last) break;
    texts.push(decoded);
  }
  return texts.map((text) =>
    text
      .normalize('NFKC')
      .toLowerCase()
      .replaceAll('\\', '/')
      .replace(/[\s\p{C}]/gu, ''),
  );
}

/** Decodes ASCII escapes one by one: `decodeURIComponent` throws at the first bad one and would let the rest pass. */
function decodePercent(text: string): string {
  return text.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** The name within an ARN (`arn:aws:secretsmanager:…:secret:NAME-AbCdEf`, `arn:aws:ssm:…:parameter/NAME`). */
function resourceOf(text: string): string {
  const match = /^arn:[^:]*:[^:]*:[^:]*:[^:]*:(?:secret:|parameter)(.*)$/.exec(text);
  return match?.[1] ?? text;
}

/**
 * The absolute paths a text may mean: as it is (AWS takes dots for ordinary characters) and with `.` and `..` resolved;
 * empty levels are dropped, and a trailing slash is added so that levels compare whole.
 */
function pathsOf(text: string): string[] {
  const levels = text.split('/').filter((level) => level !== '');
  const resolved: string[] = [];
  for (const level of levels) {
    if (level === '..') resolved.pop();
    else if (level !== '.') resolved.push(level);
  }
  return [levels, resolved].map((each) => `/${each.join('/')}/`);
}

/** For names without slashes: any part of a path or URL that begins with our prefix. */
function hasPartUnder(text: string, own: string): boolean {
  return text.split(/[/:?#]/).some((part) => part.startsWith(own));
}
