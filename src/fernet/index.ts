export { FernetError, type FernetReason } from './codec.js';
export { isEnvelope, isFor, packEnvelope, unpackEnvelope, type FieldPlace } from './envelope.js';
export { generateKey, isSealed, KeyRing, openSealed, sealText, tokenOf, toSealed } from './key-ring.js';
