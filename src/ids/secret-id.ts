import { EventError } from '../errors.js';
import type { IdStyle } from '../secrets-managers/port.js';
import type { EntityRoot, Kind } from '../terms.js';
import { cleanSegment, isCleanedToNothing, ownPrefixOf, STYLES } from './styles.js';

export interface SecretIdParts {
  readonly style: IdStyle;
  /** Empty: the id has no segment for it. */
  readonly prefix: string;
  readonly cluster: string;
  /** From {@link kindSegment}. */
  readonly kindSegment: string;
  readonly entityName: string;
  /** Keys below the place where the ids of its kind begin, one segment each; an array element is its cleaned name or its position. */
  readonly fieldPath: readonly string[];
}

/**
 * The id of a secret as OpenMetadata builds it: `/<prefix>/<cluster>/<kind>/<entity name>/<field path>`, lower-cased,
 * in the store's alphabet. Lossy: different names can give one id, which the owner check of the database refuses.
 *
 * @throws EventError SECRET_ID_INVALID where the entity name or a key has nothing left after cleaning
 */
export function buildSecretId(parts: SecretIdParts): string {
  const { style, prefix, cluster, entityName, fieldPath } = parts;
  const segments = [
    cleanSegment(style, parts.kindSegment),
    requireSegment(style, entityName, 'the entity name'),
    ...fieldPath.map((key) => requireSegment(style, key, `a key of the field at ${pointerOf(fieldPath)}`)),
  ];
  const id = ownPrefixOf(style, prefix, cluster) + segments.join(STYLES[style].separator);
  return style === 'kubernetes' ? kubernetesName(id) : id;
}

/** The segment after the cluster: the service kind, `bot`, `workflow`; ingestion pipelines have `pipeline`. */
export function kindSegment(kind: Kind, root: EntityRoot): string {
  if (root === 'ingestionPipeline') return 'pipeline';
  if (root === 'workflow') return 'workflow';
  return root === 'bot' ? 'bot' : kind.toLowerCase();
}

/** JSON Pointer (RFC 6901) of a field path, for messages: relative to the root the path starts at. */
export function pointerOf(fieldPath: readonly string[]): string {
  return fieldPath.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function requireSegment(style: IdStyle, text: string, what: string): string {
  const cleaned = cleanSegment(style, text);
  if (isCleanedToNothing(style, cleaned)) {
    throw new EventError(
      'SECRET_ID_INVALID',
      `${what} has no character that a secret id of style ${style} can hold`,
    );
  }
  return cleaned;
}

/** RFC 1123 subdomain as OpenMetadata makes it: runs collapsed, trimmed, cut at the limit, trimmed again. */
function kubernetesName(id: string): string {
  const collapsed = id.replace(/-{2,}/g, '-').replace(/^-|-$/g, '');
  return collapsed.slice(0, STYLES.kubernetes.maxIdLength).replace(/-$/, '');
}
