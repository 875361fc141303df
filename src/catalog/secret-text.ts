import { isAnyMask, isMask } from '../masks.js';
import { FERNET_PREFIX, type Json, type JsonObject } from '../terms.js';
import { meaningOfKey, type KeyMeaning, isAnswer, meaningOfMember } from './key-names.js';
import { addressHolds, type Judge, pairHolds, holdsToken } from './text-rules.js';

/**
 * Whether a text is a secret by what it is, whatever its key: an address or connection string with a password in it, a
 * configuration with a secret's name, a key, a token. Such a text is one secret as a whole. No rule asks whether a password
 * looks real: one that is kept for nothing costs a call, one that is left out is lost. All rules run in linear time: the
 * texts come from events.
 */

/** A text that stands in place of a secret: a mask, a reference or a sealed value. */
export function isStandIn(text: string): boolean {
  return isMask(text) || isReferenceText(text) || isSealedText(text);
}

/** A text of the form that publishers seal to; whether a key opens it is another question. */
export function isSealedText(text: string): boolean {
  return text.startsWith(FERNET_PREFIX) && SEALED.test(text);
}

/** Also one that is not well-formed: its field must be judged, for it may be a password that begins so. */
export function isReferenceText(text: string): boolean {
  return REFERENCE.test(text);
}
const REFERENCE = /^secrets?:\S/;
const SEALED = /^fernet:[A-Za-z0-9_-]+={0,2}$/;

/** A text that carries a secret in itself. */
export function holdsSecret(text: string): boolean {
  return textHolds(text, (secret) => secret !== '', 0);
}

/** A text with a mask in place of a secret: passed on or stored, the secret would be lost. */
export function masksSecret(text: string): boolean {
  return textHolds(text, isAnyMask, 0);
}

/** A word of a command line whose next word is a secret: `--password`, `-api-key`. */
export function isSecretFlag(text: string): boolean {
  return /^--?[A-Za-z][\w.-]{1,60}$/.test(text) && meaningOfKey(text) !== 'plain';
}

/** Most strings of an entity: too short for a token, and without a sign that a password stands behind. */
const SHORT_WORD = /^[\w.]{1,11}$/;

/** `${file:/etc/db.properties:user}`: Kafka Connect looks that up, and whatever it names is not in the text. */
const LOOKED_UP = /^\$\{[\w.-]{1,60}:[\w./-]{1,200}:[\w.-]{1,100}\}$/;

function textHolds(text: string, judge: Judge, layer: number): boolean {
  if (text.length < 5 || SHORT_WORD.test(text) || LOOKED_UP.test(text)) return false;
  if (addressHolds(text, judge) || pairHolds(text, judge) || (holdsToken(text) && judge('a token')))
    return true;
  if (layer === MOST_LAYERS) return false;
  const json = parsedJson(text);
  if (json !== undefined && jsonHolds(json, judge, layer + 1)) return true;
  return otherWritings(text).some((writing) => textHolds(writing, judge, layer + 1));
}

/** JSON inside of a text: the rules for the members of an entity. */
function jsonHolds(root: Json[] | JsonObject, judge: Judge, layer: number): boolean {
  const stack: [Json[] | JsonObject, KeyMeaning][] = [[root, 'plain']];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [owner, ownerMeaning] = next;
    if (!Array.isArray(owner) && isPrivateJwk(owner) && judge('a key')) return true;
    let previous: Json = null;
    for (const key of Object.keys(owner)) {
      const value: Json = (owner as JsonObject)[key] ?? null;
      const meaning = Array.isArray(owner)
        ? meaningOfElement(previous, ownerMeaning)
        : meaningOfMember(owner, key, ownerMeaning);
      previous = value;
      if (value !== null && typeof value === 'object') stack.push([value, meaning]);
      else if (leafHolds(value, meaning, judge, layer)) return true;
    }
  }
  return false;
}

/** The word behind `--password` is one; others are what their list is. */
export function meaningOfElement(previous: Json, listMeaning: KeyMeaning): KeyMeaning {
  return typeof previous === 'string' && isSecretFlag(previous) ? 'secret' : listMeaning;
}

function leafHolds(value: Json, meaning: KeyMeaning, judge: Judge, layer: number): boolean {
  if (typeof value === 'number') return meaning === 'password' && judge(String(value));
  if (typeof value !== 'string') return false;
  if (meaning !== 'plain' && !isAnswer(value, meaning)) return judge(value);
  return textHolds(value, judge, layer);
}

/** RFC 7517: the private part of a key, or a symmetric one. */
function isPrivateJwk(owner: JsonObject): boolean {
  return (
    typeof owner['kty'] === 'string' && (typeof owner['d'] === 'string' || typeof owner['k'] === 'string')
  );
}

/** What other writings of a text say: percent signs, entities, escapes, base64. Each is one pass; no writing grows a text. */

/** Deeper than this nobody wraps a credential, and each layer costs a pass. */
const MOST_LAYERS = 3;

/** The text as its writer meant it; nothing where it is no writing of another text. */
function otherWritings(text: string): string[] {
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
function parsedJson(text: string): Json[] | JsonObject | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
