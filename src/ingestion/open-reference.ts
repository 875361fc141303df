import { isStandIn } from '../catalog/secret-text.js';
import { FernetError, isSealed, openSealed } from '../fernet/index.js';
import type { KeyRing } from '../fernet/index.js';
import { SecretValue } from '../secret-value.js';
import { SECRET_PREFIX } from '../terms.js';
import { NotAReferenceError, SealedReferenceError } from './errors.js';

/** What a reference leads to: the value that is sealed in it, or a secret in a store. */
export type OpenedReference =
  | { readonly kind: 'value'; readonly value: SecretValue }
  | { readonly kind: 'stored'; readonly reference: `secret:${string}` };

/** OpenMetadata's own spelling, and one it accepts. */
const STORED = /^secrets?:(.+)$/s;

/**
 * Opens a reference of a secured event without asking a store.
 *
 * @param ring keys of `fernet:` texts; null: there are none
 * @throws NotAReferenceError, SealedReferenceError
 */
export function openReference(given: string, ring: KeyRing | null): OpenedReference {
  const reference = storedReference(given);
  if (reference !== null) return { kind: 'stored', reference };
  if (!isSealed(given)) throw new NotAReferenceError();
  const text = unseal(given, ring);
  const inside = storedReference(text);
  if (inside !== null) return { kind: 'stored', reference: inside };
  // Sealed twice, or a mask that was sealed: neither is a password.
  if (isStandIn(text)) throw new SealedReferenceError(given, 'what is sealed in it is no value');
  return { kind: 'value', value: new SecretValue(text) };
}

function unseal(sealed: string, ring: KeyRing | null): string {
  if (ring === null) throw new SealedReferenceError(sealed, 'no key is configured (INGESTION_FERNET_KEY)');
  try {
    return openSealed(ring, sealed);
  } catch (error) {
    if (!(error instanceof FernetError)) throw error;
    throw new SealedReferenceError(sealed, `no key of ${ring.name} opens it (${error.reason})`);
  }
}

function storedReference(text: string): `secret:${string}` | null {
  const id = STORED.exec(text)?.[1];
  return id === undefined || id.trim() === '' ? null : `${SECRET_PREFIX}${id}`;
}
