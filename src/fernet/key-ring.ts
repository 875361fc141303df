import { createHash, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { ConfigurationError } from '../errors.js';
import { FERNET_PREFIX } from '../terms.js';
import {
  FernetError,
  decodeBase64Either,
  decodeText,
  derivedIv,
  encodeText,
  FernetKey,
  makerOf,
  openToken,
  parseToken,
  sealBytes,
  timeBytes,
  tokenTime,
} from './codec.js';

/** A raw token in the form in which entities carry it. */
export function toSealed(token: string): `fernet:${string}` {
  return `${FERNET_PREFIX}${token}` as const;
}

/** Whether a text begins as a sealed one does. That does not say whether a key opens it. */
export function isSealed(text: string): text is `fernet:${string}` {
  return text.startsWith(FERNET_PREFIX);
}

/** The raw token of a sealed text. @throws FernetError `not-base64` if the prefix is missing */
export function tokenOf(sealed: string): string {
  if (!isSealed(sealed)) throw new FernetError('not-base64');
  return sealed.slice(FERNET_PREFIX.length);
}

/** Seals a text; the result begins with `fernet:`. @throws FernetError `not-text` */
export function sealText(ring: KeyRing, text: string, nowMs?: number): `fernet:${string}` {
  return toSealed(ring.seal(text, nowMs));
}

/** Opens a text that begins with `fernet:`. @throws FernetError */
export function openSealed(ring: KeyRing, sealed: string): string {
  return ring.open(tokenOf(sealed));
}

/** Keys printed in public documents. Whoever seals with one of them protects nothing. */
const PUBLIC_SAMPLE_KEYS = [
  'jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=', // OpenMetadata's default configuration
  'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=', // the Fernet specification
];

/**
 * A list of Fernet keys: the first seals, all open. Printing a ring never shows a key.
 *
 * Its tokens are raw (`gAAAA…`); the functions above add and remove the `fernet:` prefix.
 */
export class KeyRing {
  readonly #keys: readonly [FernetKey, ...FernetKey[]];
  /** Keys outside of the list that only open: earlier versions sealed with them. */
  readonly #former: readonly FernetKey[];
  /** The setting that the keys come from, for messages. */
  readonly name: string;

  private constructor(
    name: string,
    keys: readonly [FernetKey, ...FernetKey[]],
    former: readonly FernetKey[] = [],
  ) {
    this.name = name;
    this.#keys = keys;
    this.#former = former;
  }

  /**
   * Reads a comma list of keys, each 32 bytes in base64 or base64url.
   *
   * @param name the setting's name, for messages
   * @throws ConfigurationError CONFIG_INVALID: names the setting and every bad key's position (from 1), never the text
   */
  static parse(name: string, text: string): KeyRing {
    const problems: string[] = [];
    const keys: FernetKey[] = [];
    text.split(',').forEach((item, index) => {
      const key = parseKey(item.trim());
      if (typeof key === 'string') problems.push(`key ${index + 1} ${key}`);
      else keys.push(key);
    });
    const [first, ...others] = keys;
    if (problems.length > 0 || first === undefined) {
      throw new ConfigurationError(
        'CONFIG_INVALID',
        `${name}: ${problems.join('; ')}. Make keys with \`connection-secrets generate-key\`.`,
      );
    }
    return new KeyRing(name, [first, ...others]);
  }

  /**
   * The list for one purpose: each key derived for that purpose, in the same order. Whoever learns a derived key cannot
   * open the tokens of any other purpose.
   */
  derive(purpose: string): KeyRing {
    const derived = (key: FernetKey): FernetKey => key.derive(`connection-secrets-worker/${purpose}`);
    const [first, ...others] = this.#keys;
    return new KeyRing(this.name, [derived(first), ...others.map(derived)]);
  }

  /** The same list, which also opens what these lists sealed. It never seals with their keys. */
  openingAlso(...rings: readonly KeyRing[]): KeyRing {
    const former = rings.flatMap((ring) => [...ring.#keys, ...ring.#former]);
    return new KeyRing(this.name, this.#keys, [...this.#former, ...former]);
  }

  /** Positions (from 1) of keys that both lists have. */
  sharedWith(other: KeyRing): readonly { readonly own: number; readonly others: number }[] {
    const ids = other.keyIds;
    return this.keyIds.flatMap((id, index) =>
      ids.includes(id) ? [{ own: index + 1, others: ids.indexOf(id) + 1 }] : [],
    );
  }

  /** How many keys the list has. */
  get size(): number {
    return this.#keys.length;
  }

  /** Id of the key that seals: 16 hexadecimal digits of a digest, which do not reveal the key. */
  get primaryKeyId(): string {
    return keyId(this.#keys[0]);
  }

  /** Ids of all keys, in the order of the list. */
  get keyIds(): readonly string[] {
    return this.#keys.map(keyId);
  }

  /**
   * @param nowMs the token's time, milliseconds since the epoch
   * @returns a raw token
   * @throws FernetError `not-text` for a text with lone surrogates
   */
  seal(text: string, nowMs: number = Date.now()): string {
    return sealBytes(encodeText(text), this.#keys[0], timeBytes(nowMs));
  }

  /**
   * As {@link seal}, but the same arguments give the same token.
   *
   * @param place where the token stands. In one place equal texts have equal tokens, so a place is written once.
   */
  sealRepeatably(text: string, place: string, timeMs: number): string {
    const bytes = encodeText(text);
    const [key] = this.#keys;
    return sealBytes(bytes, key, timeBytes(timeMs), derivedIv(bytes, key, place));
  }

  /** @throws FernetError */
  open(token: string): string {
    return decodeText(openToken(parseToken(token), this.#all));
  }

  /** Seals the text of a token anew with the first key, under the same time. @throws FernetError */
  rotate(token: string): string {
    const parsed = parseToken(token);
    const text = openToken(parsed, this.#all);
    return sealBytes(text, this.#keys[0], tokenTime(parsed));
  }

  /** Whether {@link open} would succeed. */
  opens(token: string): boolean {
    try {
      this.open(token);
      return true;
    } catch (error) {
      if (error instanceof FernetError) return false;
      throw error;
    }
  }

  /** Index (from 0) of the key that made the token; null if no key did, or it is no token. With 0 there is nothing to rotate. */
  indexOf(token: string): number | null {
    try {
      return makerOf(parseToken(token), this.#all);
    } catch (error) {
      if (error instanceof FernetError) return null;
      throw error;
    }
  }

  get #all(): readonly FernetKey[] {
    return this.#former.length === 0 ? this.#keys : [...this.#keys, ...this.#former];
  }

  /** The keys as text. For the referee only. */
  revealKeys(): readonly string[] {
    return this.#keys.map((key) => key.reveal());
  }

  toString(): string {
    return `[KeyRing ${this.name}, ${this.size} key(s)]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** A new random key: 32 bytes in padded base64url, the form every Fernet library reads. */
export function generateKey(): string {
  return randomBytes(32).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The key, or what is wrong with it. */
function parseKey(text: string): FernetKey | string {
  if (text === '') return 'is empty';
  const key = FernetKey.parse(text);
  const bytes = decodeBase64Either(text);
  if (key === null || bytes === null) return 'is not 32 bytes in base64 or base64url';
  if (PUBLIC_SAMPLE_KEYS.some((sample) => decodeBase64Either(sample)?.equals(bytes))) {
    return 'is a public sample key, which everybody knows';
  }
  if (bytes.every((byte) => byte === bytes[0])) return 'is 32 equal bytes, which anybody can guess';
  return key;
}

function keyId(key: FernetKey): string {
  // The MAC comes first, so that the id is not a plain digest of the key's bytes.
  return createHash('sha256')
    .update(key.mac(Buffer.from('connection-secrets key id')))
    .digest('hex')
    .slice(0, 16);
}
