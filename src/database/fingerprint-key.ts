import { randomBytes } from 'node:crypto';

/** A key ring. */
export interface Sealer {
  seal(text: string): string;
  open(token: string): string;
}

/** Name of the setting. */
export const FINGERPRINT_KEY = 'fingerprint_key';

/** What opens the sealed settings. */
export interface IdentityKeys {
  /** The key ring of FERNET_KEY. */
  readonly database: Sealer;
  /** Of the fingerprint key alone: a token that a row holds, whose text a user may have chosen, is none of it. */
  readonly fingerprint: Sealer;
}

export interface FingerprintKey {
  /** 32 bytes in base64. */
  readonly text: string;
  /**
   * Whether the rows of references have their digests. It says so by what seals it: under FERNET_KEY itself lies the key
   * of a version without digests. Nobody can write down the one for the other who has not got FERNET_KEY.
   */
  readonly hasDigests: boolean;
}

const IN_BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/** A new one, sealed: rows that are written with it have digests from the first on. */
export function newFingerprintKey({ fingerprint }: IdentityKeys): string {
  return fingerprint.seal(randomBytes(32).toString('base64'));
}

/** Null where no key opens it, or it holds something else. */
export function openFingerprintKey(
  token: string | undefined,
  { database, fingerprint }: IdentityKeys,
): FingerprintKey | null {
  const bound = openOrNull(fingerprint, token);
  const text = bound ?? openOrNull(database, token);
  return text !== null && IN_BASE64.test(text) ? { text, hasDigests: bound !== null } : null;
}

export function openOrNull(ring: Sealer, token: string | undefined): string | null {
  if (token === undefined) return null;
  try {
    return ring.open(token);
  } catch {
    return null;
  }
}
