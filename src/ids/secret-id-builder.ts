import { ConfigurationError } from '../errors.js';
import type { IdStyle } from '../secrets-managers/port.js';
import { SERVICE_KINDS } from '../terms.js';
import { sharedNameReason } from './claims.js';
import { buildSecretId } from './secret-id.js';
import { buildStrictId, strictRoomLength } from './strict-id.js';
import { ownPrefixOf, scopeNameProblem, STYLES } from './styles.js';

export interface SecretIdBuilderOptions {
  readonly idStyle: IdStyle;
  /** `SECRET_ID_STYLE=strict`. */
  readonly strict: boolean;
  readonly prefix: string;
  readonly cluster: string;
  /** The store's limit, in characters; the style's own limit holds as well. */
  readonly maxIdLength: number;
  /** The store's limit of levels; `strict` keeps within it. */
  readonly maxIdLevels?: number;
  /** What ids began with before the cluster name, the prefix or the style was changed. */
  readonly formerPrefixes?: readonly string[];
}

/** Builds the ids of one configured store. */
export interface SecretIdBuilder {
  /**
   * @param kindSegment from `kindSegment()`
   * @param fieldPath keys below the place where the ids of its kind begin
   * @param connectionId the entity's id; used by `strict` only, which needs it to tell same-named entities apart
   * @throws EventError SECRET_ID_INVALID
   */
  build(kindSegment: string, entityName: string, fieldPath: readonly string[], connectionId?: string): string;
  /** Why other entities than this one could mean its ids; null: none could. */
  sharedNameReason(kindSegment: string, entityName: string): string | null;
  /** What every id begins with, e.g. `/openmetadata/`. */
  readonly ownPrefix: string;
  /** {@link ownPrefix} and the former ones: nobody may refer to a name under them. */
  readonly ownPrefixes: readonly string[];
}

/** @throws ConfigurationError CONFIG_INVALID for a prefix or cluster name that cannot stand in an id */
export function createSecretIdBuilder(options: SecretIdBuilderOptions): SecretIdBuilder {
  const { idStyle: style, prefix, cluster, strict } = options;
  const maxIdLength = Math.min(options.maxIdLength, STYLES[style].maxIdLength);
  const ownPrefix = ownPrefixOf(style, prefix, cluster);
  const problem = scopeProblem(style, prefix, cluster, strict ? strictRoomLength(maxIdLength) : maxIdLength);
  if (problem !== null) throw new ConfigurationError('CONFIG_INVALID', problem);
  const scope = { style, prefix, cluster };
  const limits = { maxIdLength, maxIdLevels: options.maxIdLevels ?? null };
  return {
    ownPrefix,
    // A strict id contains the connection's.
    sharedNameReason: (kindSegment, name) => (strict ? null : sharedNameReason(style, kindSegment, name)),
    ownPrefixes: [...new Set([ownPrefix, ...(options.formerPrefixes ?? [])])],
    build: (kindSegment, entityName, fieldPath, connectionId) => {
      const names = { kindSegment, entityName, fieldPath };
      return strict
        ? buildStrictId({ ...scope, ...limits, ...names, connectionId: connectionId ?? null })
        : buildSecretId({ ...scope, ...names });
    },
  };
}

/**
 * What is wrong with SECRET_MANAGER_PREFIX and OPENMETADATA_CLUSTER_NAME, or null.
 *
 * @param roomLength characters that prefix, cluster and the longest kind may take up
 */
function scopeProblem(style: IdStyle, prefix: string, cluster: string, roomLength: number): string | null {
  if (cluster === '') return 'OPENMETADATA_CLUSTER_NAME: must not be empty';
  const clusterProblem = scopeNameProblem(style, cluster);
  if (clusterProblem !== null) return `OPENMETADATA_CLUSTER_NAME: ${clusterProblem}`;
  const prefixProblem = prefix === '' ? null : scopeNameProblem(style, prefix);
  if (prefixProblem !== null) return `SECRET_MANAGER_PREFIX: ${prefixProblem}`;
  const longestKind = Math.max(...SERVICE_KINDS.map((kind) => kind.length), 'workflow'.length);
  const head = ownPrefixOf(style, prefix, cluster).length + longestKind + STYLES[style].separator.length;
  if (head < roomLength) return null;
  return 'SECRET_MANAGER_PREFIX, OPENMETADATA_CLUSTER_NAME: together too long for the names of this store';
}
