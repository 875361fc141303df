import { FERNET_PREFIX } from '../terms.js';
import { FernetError } from './fernet-error.js';
import type { KeyRing } from './key-ring.js';

/** A raw token in the form entities carry it. */
export function toSealed(token: string): `fernet:${string}` {
  return `${FERNET_PREFIX}${token}` as const;
}

/** Whether a text says of itself that it is sealed; whether it can be opened is another question. */
export function isSealed(text: string): text is `fernet:${string}` {
  return text.startsWith(FERNET_PREFIX);
}

/** The raw token of a sealed text. @throws FernetError `not-base64` where the prefix is missing */
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
