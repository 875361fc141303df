/**
 * Why a token is refused. None of these says anything about the text inside.
 *
 * - `not-base64`: not canonical base64url (other characters, wrong padding, non-zero trailing bits)
 * - `too-short`: fewer bytes than version, time, IV, one block and MAC need
 * - `mac`: no key of the list made this token, or it was changed
 * - `version`: made by the right key, but the version byte is not 0x80
 * - `block-size`, `padding`: made by the right key, but not a whole, correctly padded AES-CBC text
 * - `expired`, `future`: only where an age limit was asked for
 * - `not-text`: what is to be sealed has lone surrogates, or what was sealed is not UTF-8
 */
export type FernetReason =
  | 'not-base64'
  | 'too-short'
  | 'mac'
  | 'version'
  | 'block-size'
  | 'padding'
  | 'expired'
  | 'future'
  | 'not-text';

/** A token that cannot be opened, or a text that cannot be sealed. Carries the reason, never a token or a text. */
export class FernetError extends Error {
  override readonly name = 'FernetError';
  readonly reason: FernetReason;

  constructor(reason: FernetReason) {
    super(`Fernet: ${reason}`);
    this.reason = reason;
  }
}
