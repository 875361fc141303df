export { buildSecretId, kindSegment, pointerOf, type SecretIdParts } from './secret-id.js';
export {
  createSecretIdBuilder,
  type SecretIdBuilder,
  type SecretIdBuilderOptions,
} from './secret-id-builder.js';
export { isAllowedReference } from './own-prefix.js';
export { cleanSegment, ownPrefixOf, scopeNameProblem } from './styles.js';
