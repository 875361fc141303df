import { formatPointer } from '../catalog/json-path.js';
import { EventError, ConfigurationError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import type { IdStyle } from '../secrets-managers/port.js';
import { SERVICE_KINDS } from '../terms.js';

/** How a store writes its names (docs/secrets-managers.md). */
interface StyleRules {
  readonly separator: string;
  /** Between prefix and cluster, if there is a prefix. */
  readonly prefixSeparator: string;
  readonly leading: string;
  /** Matches one code point that the store does not take; flags `gu`. */
  readonly outside: RegExp;
  readonly replacement: string;
  /** The longest name that the store takes, in characters. */
  readonly maxIdLength: number;
  /** `strict` only: matches one code point that has to be escaped; flags `gu`. */
  readonly strictOutside: RegExp;
  /** `strict` only: the character that begins an escape. */
  readonly strictEscape: string;
}

const STYLES: Readonly<Record<IdStyle, StyleRules>> = {
  slash: {
    separator: '/',
    prefixSeparator: '/',
    leading: '/',
    outside: /[^A-Za-z0-9/_-]/gu,
    replacement: '_',
    maxIdLength: 512,
    strictOutside: /[^a-z0-9-]/gu,
    strictEscape: '_',
  },
  azure: {
    separator: '-',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9-]/gu,
    replacement: '',
    maxIdLength: 127,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
  gcp: {
    separator: '_',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9_]/gu,
    replacement: '',
    maxIdLength: 255,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
  kubernetes: {
    separator: '-',
    prefixSeparator: '',
    leading: '',
    outside: /[^A-Za-z0-9]/gu,
    replacement: '-',
    maxIdLength: 253,
    strictOutside: /[^a-pr-z0-9]/gu,
    strictEscape: 'q',
  },
};

/**
 * Cleans one segment (an entity name or one key): replaces each code point that the store does not take, then lower-cases.
 * In this order, so that lower-casing only sees ASCII: `İ` is one `_`, not `i_`, on every platform and locale.
 *
 * The cleaned name of an array element is also its identity. The style `slash` leaves a slash within a segment, as
 * OpenMetadata does.
 */
export function cleanSegment(style: IdStyle, text: string): string {
  const { outside, replacement } = STYLES[style];
  return text.replace(outside, replacement).toLowerCase();
}

/** Whether nothing of a cleaned segment would be left in the id. */
function isCleanedToNothing(style: IdStyle, cleaned: string): boolean {
  if (style === 'slash') return /^\/*$/.test(cleaned);
  // Kubernetes collapses runs of dashes and trims: a segment of dashes alone vanishes.
  return style === 'kubernetes' ? /^-*$/.test(cleaned) : cleaned === '';
}

/** The text that every id of this worker begins with, up to and including the separator before the kind. */
export function ownPrefixOf(style: IdStyle, prefix: string, cluster: string): string {
  const { leading, prefixSeparator, separator } = STYLES[style];
  const scope = prefix === '' ? cluster : `${prefix}${prefixSeparator}${cluster}`;
  return `${leading}${scope}${separator}`.toLowerCase();
}

/**
 * What is wrong with a prefix or cluster name, or null. Ids contain both unchanged, except for case. So the style's
 * cleaning must leave them as they are, and they must not make an empty level.
 */
export function scopeNameProblem(style: IdStyle, name: string): string | null {
  if (name.replaceAll(STYLES[style].replacement || '\0', '').search(STYLES[style].outside) >= 0)
    return `may only contain ${ALLOWED_CHARACTERS[style]}`;
  if (style === 'slash' && /^\/|\/$|\/\//.test(name)) return 'must not begin or end with / or contain //';
  if (style === 'kubernetes' && /^-|-$|--/.test(name)) return 'must not begin or end with - or contain --';
  return null;
}

const ALLOWED_CHARACTERS: Readonly<Record<IdStyle, string>> = {
  slash: 'A-Z, a-z, 0-9, /, _ and -',
  azure: 'A-Z, a-z, 0-9 and -',
  gcp: 'A-Z, a-z, 0-9 and _',
  kubernetes: 'A-Z, a-z, 0-9 and -',
};

/**
 * Why an entity's ids could also be those of another entity; null if they could not. Making an id loses part of the name:
 * `Fin`, `fin` and `f.in` may share one, and a name with a separator in it may reach into the ids of another entity.
 * A connection may adopt a secret by its name only if no other connection can have that name.
 */
function sharedNameReason(style: IdStyle, kind: string, entityName: string): string | null {
  if (kind === 'pipeline')
    return 'pipeline services and ingestion pipelines share these ids, and ingestion pipelines of several services may have the same name';
  if (entityName !== cleanSegment(style, entityName)) return 'the id does not contain the name unchanged';
  if (entityName.includes(STYLES[style].separator))
    return `the name contains ${STYLES[style].separator}, which separates the parts of an id`;
  return null;
}

interface SecretIdParts {
  readonly style: IdStyle;
  /** Empty: the id has no segment for it. */
  readonly prefix: string;
  readonly cluster: string;
  /** A `Kind`: the kind of service, `bot` or `workflow`. Ingestion pipelines have `pipeline`, like pipeline services. */
  readonly kind: string;
  readonly entityName: string;
  /**
   * Keys below the place where the ids of its kind begin, one segment each. The segment of an array element is its cleaned
   * name or its position.
   */
  readonly fieldPath: readonly string[];
}

/**
 * The id of a secret as OpenMetadata builds it: `/<prefix>/<cluster>/<kind>/<entity name>/<field path>`, lower-cased,
 * in the store's alphabet. Different names can give the same id; the database refuses a second owner of an id.
 *
 * @throws EventError SECRET_ID_INVALID if cleaning leaves nothing of the entity name or of a key
 */
export function buildSecretId(parts: SecretIdParts): string {
  const { style, prefix, cluster, entityName, fieldPath } = parts;
  const segments = [
    cleanSegment(style, parts.kind),
    requireSegment(style, entityName, 'the entity name'),
    ...fieldPath.map((key) =>
      requireSegment(style, key, `a key of the field at ${formatPointer(fieldPath)}`),
    ),
  ];
  const id = ownPrefixOf(style, prefix, cluster) + segments.join(STYLES[style].separator);
  return style === 'kubernetes' ? kubernetesName(id) : id;
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

/** RFC 1123 subdomain as OpenMetadata makes it: collapse runs of dashes, trim, cut at the limit, trim again. */
function kubernetesName(id: string): string {
  const collapsed = id.replace(/-{2,}/g, '-').replace(/^-|-$/g, '');
  return collapsed.slice(0, STYLES.kubernetes.maxIdLength).replace(/-$/, '');
}

/** The escape character, `h` and 64 hexadecimal digits. */
const HASH_MARK_LENGTH = 66;

interface StrictIdParts extends SecretIdParts {
  /**
   * Id of the entity. Names are unique only within a kind of service: two ingestion pipelines, or a pipeline service and
   * an ingestion pipeline, may have the same name. With the connection's id in it, no two connections share a secret id.
   */
  readonly connectionId: string | null;
  /** In characters. A longer id is cut and ends in a hash. */
  readonly maxIdLength: number;
  /** For stores that limit the levels of a name. An id with more is cut and ends in a hash. */
  readonly maxIdLevels: number | null;
}

/**
 * The id of a secret in the style `strict`: different names, paths or connections never give the same id.
 *
 * It begins like any other id, `/<prefix>/<cluster>/<kind>/`. The entity name and each key follow, one segment each.
 * Lower-case letters, digits and (in the style `slash`) dashes stand for themselves, so that a store that ignores case
 * tells the ids apart, too. Every other code point is escaped. An escape begins with E, which is `_` in the style `slash`
 * and `q` in the others:
 *
 * | written | stands for |
 * |---|---|
 * | `E E l` | the capital letter of `l` (a-z): `authType` is `auth__type` |
 * | `E x x` | the code point with these two hex digits (below U+0100): `_` is `_5f`, `.` is `_2e` |
 * | `E u x… E` | any other code point in hex, lone surrogates included: `é` is `_e9`, `日` is `_u65e5_` |
 * | `E i …` | ends the entity name; the connection's id follows, encoded in the same way |
 * | `E h` + 64 hex digits | ends an id that was cut: SHA-256 of the whole uncut id |
 *
 * No escape is the beginning of another, and separators occur between segments only. So the encoding can be undone, and
 * different parts never give the same id. The hash does that for ids that are cut. Unicode is not normalised. A dash that
 * would be the seventh character from the end is escaped, too: Secrets Manager would take it and the six characters
 * behind it for the end of an ARN.
 *
 * @throws EventError SECRET_ID_INVALID for an empty entity name or key
 */
function buildStrictId(parts: StrictIdParts): string {
  const { style, fieldPath, connectionId } = parts;
  const { separator, strictEscape } = STYLES[style];
  const name = requireText(parts.entityName, 'the entity name');
  const keys = fieldPath.map((key) => requireText(key, `a key of the field at ${formatPointer(fieldPath)}`));
  const owner = connectionId === null ? '' : `${strictEscape}i${encodeSegment(style, connectionId)}`;
  const segments = [encodeSegment(style, name) + owner, ...keys.map((key) => encodeSegment(style, key))];
  const head = ownPrefixOf(style, parts.prefix, parts.cluster) + parts.kind.toLowerCase() + separator;
  return cut(head, segments, parts);
}

/** How many characters prefix, cluster and kind may have so that a cut id still has room for its hash. */
function strictRoomLength(maxIdLength: number): number {
  return maxIdLength - HASH_MARK_LENGTH;
}

function cut(head: string, segments: readonly string[], parts: StrictIdParts): string {
  const { style } = parts;
  const { separator, strictEscape } = STYLES[style];
  const whole = head + withoutArnEnding(style, segments.join(separator));
  const levels = levelsOf(style, whole);
  const tooDeep = parts.maxIdLevels !== null && levels > parts.maxIdLevels;
  if (!tooDeep && whole.length <= parts.maxIdLength) return whole;
  const hash = `${strictEscape}h${sha256Hex(whole)}`;
  const keptSegments = tooDeep ? segments.slice(0, (parts.maxIdLevels ?? 0) - levels) : segments;
  const kept = keptSegments.join(separator).slice(0, strictRoomLength(parts.maxIdLength) - head.length);
  return head + wholeEscapes(strictEscape, kept) + hash;
}

/**
 * Removes an escape that the cut went through. Otherwise its rest and the hash mark could read as another escape, and
 * somebody could choose a name whose uncut id is this one.
 */
function wholeEscapes(escape: string, text: string): string {
  const tokens = `[^${escape}]|${escape}(?:${escape}[a-z]|[0-9a-f]{2}|u[0-9a-f]+${escape}|i)`;
  return new RegExp(`^(?:${tokens})*`).exec(text)?.[0] ?? '';
}

/** Escapes a dash that Secrets Manager would take, with the six characters behind it, for the end of an ARN. */
function withoutArnEnding(style: IdStyle, text: string): string {
  return text.replace(/-(?=.{6}$)/, style === 'slash' ? `${STYLES.slash.strictEscape}2d` : '-');
}

function levelsOf(style: IdStyle, id: string): number {
  return style === 'slash' ? id.split('/').length - 1 : 1;
}

function encodeSegment(style: IdStyle, text: string): string {
  const { strictOutside, strictEscape } = STYLES[style];
  return text.replace(strictOutside, (character) => encodeCharacter(strictEscape, character));
}

/** @param character one code point, or a lone surrogate, which a `u` pattern takes for one */
function encodeCharacter(escape: string, character: string): string {
  if (character >= 'A' && character <= 'Z') return escape + escape + character.toLowerCase();
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length <= 2 ? escape + hex.padStart(2, '0') : `${escape}u${hex}${escape}`;
}

function requireText(text: string, what: string): string {
  if (text === '') throw new EventError('SECRET_ID_INVALID', `${what} is empty`);
  return text;
}

interface SecretIdBuilderOptions {
  readonly idStyle: IdStyle;
  /** `SECRET_ID_STYLE=strict`. */
  readonly strict: boolean;
  readonly prefix: string;
  readonly cluster: string;
  /** The store's limit, in characters; the style's own limit applies, too. */
  readonly maxIdLength: number;
  /** The store's limit of levels. Only `strict` observes it. */
  readonly maxIdLevels?: number;
  /** Prefixes of ids from before the cluster name, the prefix or the style was changed. */
  readonly formerPrefixes?: readonly string[];
}

/** Builds the ids of one configured store. */
export interface SecretIdBuilder {
  /**
   * @param kind a `Kind`
   * @param fieldPath keys below the place where the ids of its kind begin
   * @param connectionId the entity's id; only `strict` uses it, to tell entities of one name apart
   * @throws EventError SECRET_ID_INVALID
   */
  build(kind: string, entityName: string, fieldPath: readonly string[], connectionId?: string): string;
  /** Why other entities could have the same ids; null: none could. */
  sharedNameReason(kind: string, entityName: string): string | null;
  /** The text that every id begins with, e.g. `/openmetadata/`. */
  readonly ownPrefix: string;
  /** {@link ownPrefix} and the former ones. No reference of a user may name a secret under them. */
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
    // A strict id contains the connection's id, so no other entity can have it.
    sharedNameReason: (kind, name) => (strict ? null : sharedNameReason(style, kind, name)),
    ownPrefixes: [...new Set([ownPrefix, ...(options.formerPrefixes ?? [])])],
    build: (kind, entityName, fieldPath, connectionId) => {
      const names = { kind, entityName, fieldPath };
      return strict
        ? buildStrictId({ ...scope, ...limits, ...names, connectionId: connectionId ?? null })
        : buildSecretId({ ...scope, ...names });
    },
  };
}

/**
 * What is wrong with SECRET_MANAGER_PREFIX and OPENMETADATA_CLUSTER_NAME, or null.
 *
 * @param roomLength how many characters prefix, cluster and the longest kind may have together
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
  return 'SECRET_MANAGER_PREFIX, OPENMETADATA_CLUSTER_NAME: together they are too long for the names of this store';
}
