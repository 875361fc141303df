import { KeyRing, packEnvelope, sealText } from '../../src/fernet/index.js';

/** A field's value as a publisher with these keys seals it. */
export function sealedFor(
  keys: string,
  connectionId: string,
  value: string,
  path = '/connection/config/password',
): string {
  return sealText(KeyRing.parse('PUBLISHER_FERNET_KEY', keys), packEnvelope({ connectionId, path, value }));
}
