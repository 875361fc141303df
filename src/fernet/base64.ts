const URL_ALPHABET = /^[A-Za-z0-9_-]*={0,2}$/;
const STANDARD_ALPHABET = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Bytes of canonical base64url, padded or not; null for anything else. Canonical: each byte string has exactly one
 * text (and its padded form). Node's decoder alone skips what it does not know and ignores trailing bits, so that one
 * token would have many spellings.
 */
export function decodeBase64Url(text: string): Buffer | null {
  return URL_ALPHABET.test(text) ? decodeCanonical(text, 'base64url') : null;
}

/** Like {@link decodeBase64Url}, and the standard alphabet as well (not both in one text): how keys are written. */
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
