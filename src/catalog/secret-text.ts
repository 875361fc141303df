import { isAnyMask, isMask } from '../masks.js';
import { FERNET_PREFIX, type Json, type JsonObject } from '../terms.js';
import { meaningOfKey, type KeyMeaning, isAnswer, meaningOfMember } from './key-names.js';
import { addressHolds, type Judge, pairHolds, holdsToken } from './text-rules.js';

/**
 * Whether a text contains a secret, whatever its key: an address or connection string with a password, a configuration
 * with a secret, a key, a token. The whole text is one secret then. No rule asks whether a password looks real: storing
 * one for nothing costs a call, missing one publishes it. All rules run in linear time, because the texts come from
 * events.
 */

/** Whether a text stands for a secret: a mask, a reference or a sealed value. */
export function isStandIn(text: string): boolean {
  return isMask(text) || isReferenceText(text) || isSealedText(text);
}

/** Whether a text has the form of a publisher's token. That does not say whether a key opens it. */
export function isSealedText(text: string): boolean {
  return text.startsWith(FERNET_PREFIX) && SEALED.test(text);
}

/** Whether a text begins as a reference does. It may be malformed, or a password that begins so: later rules decide. */
export function isReferenceText(text: string): boolean {
  return REFERENCE.test(text);
}
const REFERENCE = /^secrets?:\S/;
const SEALED = /^fernet:[A-Za-z0-9_-]+={0,2}$/;

/** Whether a text contains a secret. */
export function holdsSecret(text: string): boolean {
  return textHolds(text, (secret) => secret !== '', 0);
}

/** Whether a text contains a mask in place of a secret. Storing or publishing it would lose that secret. */
export function masksSecret(text: string): boolean {
  return textHolds(text, isAnyMask, 0);
}

/** Whether the next word of a command line is a secret: after `--password`, `-api-key`. */
export function isSecretFlag(text: string): boolean {
  return /^--?[A-Za-z][\w.-]{1,60}$/.test(text) && meaningOfKey(text) !== 'plain';
}

/** Most strings of an entity. Too short for a token, and without a sign that could come before a password. */
const SHORT_WORD = /^[\w.]{1,11}$/;

/** `${file:/etc/db.properties:user}`: Kafka Connect looks the value up, so it is not in the text. */
const LOOKED_UP = /^\$\{[\w.-]{1,60}:[\w./-]{1,200}:[\w.-]{1,100}\}$/;

function textHolds(text: string, judge: Judge, layer: number): boolean {
  if (text.length < 5 || SHORT_WORD.test(text) || LOOKED_UP.test(text)) return false;
  if (addressHolds(text, judge) || pairHolds(text, judge) || (holdsToken(text) && judge('a token')))
    return true;
  if (layer === MOST_LAYERS) return false;
  const json = parsedJson(text);
  if (json !== undefined && jsonHolds(json, judge, layer + 1)) return true;
  return decodings(text).some((decoded) => textHolds(decoded, judge, layer + 1));
}

/** JSON within a text. The same rules apply as for the members of an entity. */
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

/** What an element's place says of it: the word after `--password` is a secret, the others inherit their list's meaning. */
export function meaningOfElement(previous: Json, listMeaning: KeyMeaning): KeyMeaning {
  return typeof previous === 'string' && isSecretFlag(previous) ? 'secret' : listMeaning;
}

function leafHolds(value: Json, meaning: KeyMeaning, judge: Judge, layer: number): boolean {
  if (typeof value === 'number') return meaning === 'password' && judge(String(value));
  if (typeof value !== 'string') return false;
  if (meaning !== 'plain' && !isAnswer(value, meaning)) return judge(value);
  return textHolds(value, judge, layer);
}

/** A private or symmetric key as a JSON Web Key (RFC 7517). */
function isPrivateJwk(owner: JsonObject): boolean {
  return (
    typeof owner['kty'] === 'string' && (typeof owner['d'] === 'string' || typeof owner['k'] === 'string')
  );
}

/** How many encodings around each other are undone. Nobody wraps a credential deeper, and each layer costs a pass. */
const MOST_LAYERS = 3;

/** The texts that this text may encode, with percent signs, entities, escapes or base64. None of them is longer. */
function decodings(text: string): string[] {
  const plain = withoutEscapes(text);
  return [plain === text ? null : plain, decodedBase64(text)].filter((decoded) => decoded !== null);
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
    // Web forms encode a blank as a plus.
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

/** Decodes base64 of JSON, of keys in PEM and of `user:password`; null for anything else. */
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

/** The object or array that the text is in JSON; undefined if it is none. */
function parsedJson(text: string): Json[] | JsonObject | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
