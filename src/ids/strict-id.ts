import { EventError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import type { IdStyle } from '../secrets-managers/port.js';
import { pointerOf } from './secret-id.js';
import { ownPrefixOf, STYLES } from './styles.js';

/** `h` and 64 hex digits after the escape character. */
const HASH_MARK_LENGTH = 66;

export interface StrictIdParts {
  readonly style: IdStyle;
  readonly prefix: string;
  readonly cluster: string;
  readonly kindSegment: string;
  readonly entityName: string;
  readonly fieldPath: readonly string[];
  /**
   * Id of the entity. Names are unique only within a kind of service; two ingestion pipelines, or a pipeline service
   * and an ingestion pipeline, may share one. With the id two connections never share a secret id.
   */
  readonly connectionId: string | null;
  /** In characters; what is longer ends in a hash. */
  readonly maxIdLength: number;
  /** Levels of the id, where the store counts them; what has more ends in a hash. */
  readonly maxIdLevels: number | null;
}

/**
 * The id of a secret in the style `strict`: different names, paths or connections never give the same id.
 *
 * It begins like any other, `/<prefix>/<cluster>/<kind>/`. Then follow the entity name and each key, one segment each,
 * in lower-case letters, digits and (style `slash`) dashes, so that stores that ignore case tell them apart as well.
 * Every other code point is an escape, begun by E (`_` in the style `slash`, `q` elsewhere, which is itself escaped):
 *
 * | written | stands for |
 * |---|---|
 * | `E E l` | the capital letter of `l` (a-z): `authType` is `auth__type` |
 * | `E x x` | the code point with these two hex digits (below U+0100): `_` is `_5f`, `.` is `_2e` |
 * | `E u x… E` | any other code point in hex, lone surrogates included: `é` is `_e9`, `日` is `_u65e5_` |
 * | `E i …` | ends the entity name; the connection's id follows, encoded alike |
 * | `E h` + 64 hex digits | ends an id that was cut: SHA-256 of the whole uncut id |
 *
 * No escape is the beginning of another, and separators occur between segments only: the encoding can be undone, so it
 * is injective; of ids that are cut, the hash tells them apart. Unicode is not normalised. A dash that would stand
 * seventh from the end is escaped too: Secrets Manager takes `-` and six characters for the end of an ARN.
 *
 * @throws EventError SECRET_ID_INVALID for an empty entity name or key
 */
export function buildStrictId(parts: StrictIdParts): string {
  const { style, fieldPath, connectionId } = parts;
  const { separator, strictEscape } = STYLES[style];
  const name = requireText(parts.entityName, 'the entity name');
  const keys = fieldPath.map((key) => requireText(key, `a key of the field at ${pointerOf(fieldPath)}`));
  const owner = connectionId === null ? '' : `${strictEscape}i${encodeSegment(style, connectionId)}`;
  const segments = [encodeSegment(style, name) + owner, ...keys.map((key) => encodeSegment(style, key))];
  const head = ownPrefixOf(style, parts.prefix, parts.cluster) + parts.kindSegment.toLowerCase() + separator;
  return cut(head, segments, parts);
}

/** The length that prefix, cluster and kind may take up so that a cut id still has room for its hash. */
export function strictRoomLength(maxIdLength: number): number {
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
 * Takes off an escape that the cut went through: its rest together with the hash mark could read as another escape,
 * and somebody could choose a name whose uncut id is this one.
 */
function wholeEscapes(escape: string, text: string): string {
  const tokens = `[^${escape}]|${escape}(?:${escape}[a-z]|[0-9a-f]{2}|u[0-9a-f]+${escape}|i)`;
  return new RegExp(`^(?:${tokens})*`).exec(text)?.[0] ?? '';
}

/** Secrets Manager takes `-` and six characters at a name's end for the end of an ARN. */
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

/** @param character one code point, or a lone surrogate (which is one to a `u` pattern) */
function encodeCharacter(escape: string, character: string): string {
  if (character >= 'A' && character <= 'Z') return escape + escape + character.toLowerCase();
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length <= 2 ? escape + hex.padStart(2, '0') : `${escape}u${hex}${escape}`;
}

function requireText(text: string, what: string): string {
  if (text === '') throw new EventError('SECRET_ID_INVALID', `${what} is empty`);
  return text;
}
