export { FernetError, type FernetReason } from './fernet-error.js';
export type { AgeLimit } from './codec.js';
export {
  isEnvelope,
  isFor,
  packEnvelope,
  unpackEnvelope,
  type Envelope,
  type FieldPlace,
} from './envelope.js';
export { generateKey, KeyRing } from './key-ring.js';
export {
  isSealed,
  openSealed,
  rotateSealed,
  sealReference,
  sealText,
  tokenOf,
  toSealed,
} from './sealed-text.js';
