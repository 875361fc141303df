export { buildSecretId, kindSegment, pointerOf, type SecretIdParts } from './secret-id.js';
export { createSecretIdBuilder, type SecretIdBuilder, type SecretIdBuilderOptions } from './secret-id.js';
export {
  judgeReference,
  MAX_REFERENCE_LENGTH,
  readingsOf,
  type Holders,
  type JudgeRules,
  type Verdict,
} from './reference-judge.js';
export { markerIdOf } from './marker-id.js';
export { cleanSegment, ownPrefixOf, scopeNameProblem } from './secret-id.js';
