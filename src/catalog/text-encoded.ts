import type { Json, JsonObject } from '../terms.js';

/** What other writings of a text say: percent signs, entities, escapes, base64. Each is one pass; no writing grows a text. */

/** Deeper than this nobody wraps a credential, and each layer costs a pass. */
export const MOST_LAYERS = 3;

/** The text as its writer meant it; nothing where it is no writing of another text. */
export function otherWritings(text: string): string[] {
  const writings: string[] = [];
  const plain = withoutEscapes(text);
  if (plain !== text) writings.push(plain);
  const decoded = decodedBase64(text);
  if (decoded !== null) writings.push(decoded);
  return writings;
}

const ENTITIES: Readonly<Record<string, string>> = {
  quot: '"',
  amp: '&',
  lt: '<',
  gt: '>',
  apos: "'",
  '#34': '"',
  '#39': "'",
};

function withoutEscapes(text: string): string {
  let plain = text;
  if (/%[0-9A-F]{2}/i.test(plain)) {
    const hasBlanks = plain.includes(' ');
    plain = plain.replace(/(?:%[0-9A-F]{2})+/gi, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
    );
    // Forms write a blank as a plus.
    if (!hasBlanks) plain = plain.replace(/\+/g, ' ');
  }
  if (plain.includes('&'))
    plain = plain.replace(/&(quot|amp|lt|gt|apos|#34|#39);/g, (_, name: string) => ENTITIES[name] ?? '');
  if (/\\[u"n]/.test(plain))
    plain = plain
      .replace(/\\u00([0-7][0-9a-f])/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
      .replace(/\\n/g, '\n')
      .replace(/\\"/g, '"');
  return plain;
}

/** JSON, keys in PEM, `user:password`: what a base64 text is worth decoding for. */
function decodedBase64(text: string): string | null {
  if (!/^\s*[\w+/-]{12}/.test(text)) return null;
  const compact = /^[\w+/=\s-]+$/.test(text) ? text.replace(/\s/g, '') : '';
  if (compact.length < 12 || !/^[\w+/-]+={0,2}$/.test(compact)) return null;
  const decoded = Buffer.from(compact, 'base64').toString('latin1');
  if (/^(?:ey|ew|W3|Wy|LS0t|PD)/.test(compact)) return Buffer.from(compact, 'base64').toString('utf8');
  return compact.length % 4 === 0 && /^[!-9;-~]+:[!-~]+$/.test(decoded) && compact !== compact.toLowerCase()
    ? `authorization: ${decoded}`
    : null;
}

/** The text as JSON; undefined where it is none, or no object or array. */
export function parsedJson(text: string): Json[] | JsonObject | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
