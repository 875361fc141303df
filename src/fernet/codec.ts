import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomFillSync,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';

/**
 * Why a token is refused. None of these says anything about the text inside.
 *
 * - `not-base64`: not canonical base64url (other characters, wrong padding, non-zero trailing bits)
 * - `too-short`: fewer bytes than version, time, IV, one block and MAC need
 * - `mac`: no key of the list made this token, or somebody changed it
 * - `version`: one of the keys made it, but the version byte is not 0x80
 * - `block-size`, `padding`: one of the keys made it, but its ciphertext is not a whole, correctly padded AES-CBC text
 * - `not-text`: the text to seal has lone surrogates, or the bytes that were sealed are not UTF-8
 */
export type FernetReason =
  'not-base64' | 'too-short' | 'mac' | 'version' | 'block-size' | 'padding' | 'not-text';

/** A token that cannot be opened, or a text that cannot be sealed. Carries the reason, never a token or a text. */
export class FernetError extends Error {
  override readonly name = 'FernetError';
  readonly reason: FernetReason;

  constructor(reason: FernetReason) {
    super(`Fernet: ${reason}`);
    this.reason = reason;
  }
}

const URL_ALPHABET = /^[A-Za-z0-9_-]*={0,2}$/;
const STANDARD_ALPHABET = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Bytes of canonical base64url, padded or not; null for anything else. Canonical means that each byte string has exactly
 * one text (and its padded form). Node's decoder alone would accept many spellings of one token: it skips unknown
 * characters and ignores trailing bits.
 */
function decodeBase64Url(text: string): Buffer | null {
  return URL_ALPHABET.test(text) ? decodeCanonical(text, 'base64url') : null;
}

/** Like {@link decodeBase64Url}, but for keys, which people also write in the standard alphabet (not both in one text). */
export function decodeBase64Either(text: string): Buffer | null {
  if (URL_ALPHABET.test(text)) return decodeCanonical(text, 'base64url');
  return STANDARD_ALPHABET.test(text) ? decodeCanonical(text, 'base64') : null;
}

function decodeCanonical(text: string, encoding: 'base64' | 'base64url'): Buffer | null {
  const digits = text.replace(/=+$/, '');
  const padded = digits.length !== text.length;
  if (padded && text.length % 4 !== 0) return null;
  if (digits.length % 4 === 1) return null;
  const bytes = Buffer.from(digits, encoding);
  return bytes.toString(encoding).replace(/=+$/, '') === digits ? bytes : null;
}

const VERSION = 0x80;
const KEY_BYTES = 32;
const IV_OFFSET = 9;
const TEXT_OFFSET = 25;
const BLOCK_BYTES = 16;
const MAC_BYTES = 32;
/** `ignoreBOM` keeps a leading U+FEFF: it is part of the value. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One Fernet key. The bytes live in `KeyObject`s, which neither `util.inspect` nor `JSON.stringify` print. */
export class FernetKey {
  readonly #signing: KeyObject;
  readonly #encryption: KeyObject;

  private constructor(bytes: Buffer) {
    this.#signing = createSecretKey(bytes.subarray(0, 16));
    this.#encryption = createSecretKey(bytes.subarray(16));
  }

  /** @returns the key; null if the text is not 32 bytes in canonical base64 or base64url */
  static parse(text: string): FernetKey | null {
    const bytes = decodeBase64Either(text);
    return bytes !== null && bytes.length === KEY_BYTES ? new FernetKey(bytes) : null;
  }

  /**
   * Derives the key for one purpose (HKDF-SHA256, RFC 5869, without salt), so that a token made for one purpose cannot be
   * used for another.
   */
  derive(label: string): FernetKey {
    const bytes = hkdfSync('sha256', this.#bytes(), Buffer.alloc(0), label, KEY_BYTES);
    return new FernetKey(Buffer.from(bytes));
  }

  /** HMAC-SHA256 under the signing half. */
  mac(data: Buffer): Buffer {
    return createHmac('sha256', this.#signing).update(data).digest();
  }

  /** AES-128-CBC with PKCS #7 padding. */
  encrypt(text: Buffer, iv: Buffer): Buffer {
    const cipher = createCipheriv('aes-128-cbc', this.#encryption, iv);
    return Buffer.concat([cipher.update(text), cipher.final()]);
  }

  /** @throws Error from OpenSSL if the padding is wrong */
  decrypt(ciphertext: Buffer, iv: Buffer): Buffer {
    const decipher = createDecipheriv('aes-128-cbc', this.#encryption, iv);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  }

  /** The key as canonical padded base64url. For the referee only, which needs the text. */
  reveal(): string {
    return padded(this.#bytes());
  }

  #bytes(): Buffer {
    return Buffer.concat([this.#signing.export(), this.#encryption.export()]);
  }
}

/** Random bytes for many tokens: one call into the kernel takes longer than encrypting a token. */
const randomPool = Buffer.alloc(256 * BLOCK_BYTES);
let nextRandom = randomPool.length;

/** Hands out 16 random bytes, once: it wipes them in the pool. */
function freshIv(): Buffer {
  if (nextRandom === randomPool.length) {
    randomFillSync(randomPool);
    nextRandom = 0;
  }
  const taken = randomPool.subarray(nextRandom, nextRandom + BLOCK_BYTES);
  nextRandom += BLOCK_BYTES;
  const iv = Buffer.from(taken);
  taken.fill(0);
  return iv;
}

/** A token taken apart. Nobody has checked yet whether it is genuine. */
interface ParsedToken {
  /** Everything the MAC covers. */
  readonly signed: Buffer;
  readonly mac: Buffer;
}

/**
 * Seals bytes into a token (Fernet specification, section "Generating").
 *
 * @param time 8 bytes, seconds since the epoch, big-endian; see {@link timeBytes}
 * @param iv 16 bytes; random unless a test vector gives one
 * @returns canonical padded base64url, as Python's and the other libraries write it
 */
export function sealBytes(text: Buffer, key: FernetKey, time: Buffer, iv = freshIv()): string {
  const signed = Buffer.concat([Buffer.of(VERSION), time, iv, key.encrypt(text, iv)]);
  return padded(Buffer.concat([signed, key.mac(signed)]));
}

/**
 * The IV of a token that comes out the same each time. It depends on the whole text, as SIV modes do (RFC 5297), so one
 * IV never serves two texts.
 *
 * @param place where the token stands: the same text in another place gives another IV
 */
export function derivedIv(text: Buffer, key: FernetKey, place: string): Buffer {
  const input = Buffer.concat([Buffer.from(`IV\0${place}\0`), text]);
  return key.mac(input).subarray(0, BLOCK_BYTES);
}

/** A token's time field for a time in milliseconds since the epoch. */
export function timeBytes(nowMs: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.floor(nowMs / 1000)));
  return bytes;
}

/** @throws FernetError `not-base64` or `too-short` */
export function parseToken(token: string): ParsedToken {
  const bytes = decodeBase64Url(token);
  if (bytes === null) throw new FernetError('not-base64');
  // A token without a whole block of ciphertext passes here: openToken checks the MAC before it looks at the rest.
  if (bytes.length < TEXT_OFFSET + MAC_BYTES) throw new FernetError('too-short');
  const end = bytes.length - MAC_BYTES;
  return { signed: bytes.subarray(0, end), mac: bytes.subarray(end) };
}

/** The token's own time field, byte for byte. */
export function tokenTime(token: ParsedToken): Buffer {
  return token.signed.subarray(1, IV_OFFSET);
}

/** Index of the key that made the token; null if none of them did. */
export function makerOf(token: ParsedToken, keys: readonly FernetKey[]): number | null {
  const index = keys.findIndex((key) => timingSafeEqual(key.mac(token.signed), token.mac));
  return index < 0 ? null : index;
}

/**
 * Opens a token with the key that made it (Fernet specification, section "Verifying"). Checks the MAC first, so that
 * nothing of a forged token is ever decrypted. Sets no age limit: stored tokens do not expire.
 *
 * @throws FernetError with the reason
 */
export function openToken(token: ParsedToken, keys: readonly FernetKey[]): Buffer {
  const key = keys[makerOf(token, keys) ?? -1];
  if (key === undefined) throw new FernetError('mac');
  if (token.signed[0] !== VERSION) throw new FernetError('version');
  const ciphertext = token.signed.subarray(TEXT_OFFSET);
  if (ciphertext.length === 0 || ciphertext.length % BLOCK_BYTES !== 0) throw new FernetError('block-size');
  try {
    return key.decrypt(ciphertext, token.signed.subarray(IV_OFFSET, TEXT_OFFSET));
  } catch {
    // OpenSSL's own text adds nothing: the size is right, so only the padding can be wrong.
    throw new FernetError('padding');
  }
}

/** @throws FernetError `not-text` for lone surrogates: UTF-8 would replace them, and opening would give another text */
export function encodeText(text: string): Buffer {
  if (/\p{Surrogate}/u.test(text)) throw new FernetError('not-text');
  return Buffer.from(text, 'utf8');
}

/** @throws FernetError `not-text` for bytes that are not UTF-8 */
export function decodeText(bytes: Buffer): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new FernetError('not-text');
  }
}

function padded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}
