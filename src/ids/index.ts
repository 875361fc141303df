export { markerIdOf } from './marker-id.js';
export { judgeReference, MAX_REFERENCE_LENGTH, readingsOf, type Verdict } from './reference-judge.js';
export {
  buildSecretId,
  cleanSegment,
  createSecretIdBuilder,
  ownPrefixOf,
  scopeNameProblem,
  type SecretIdBuilder,
} from './secret-id.js';
