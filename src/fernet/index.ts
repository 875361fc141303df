export { FernetError, type FernetReason } from './codec.js';
export {
  isEnvelope,
  isFor,
  packEnvelope,
  unpackEnvelope,
  type Envelope,
  type FieldPlace,
} from './envelope.js';
export { generateKey, KeyRing } from './key-ring.js';
export { isSealed, openSealed, sealText, tokenOf, toSealed } from './key-ring.js';
