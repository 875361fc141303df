import { readAt, withValues, type JsonPath } from '../catalog/json-access.js';
import { parsePointer } from '../catalog/json-pointer.js';
import { EventError } from '../errors.js';
import { canonicalJson } from '../events/order.js';
import { MASK, type Json, type JsonObject } from '../terms.js';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import type { RuledField } from './new-references.js';
import type { PreparedEvent, PreparedField } from './prepare.js';

const ENTITIES = new WeakMap<ConnectionRow, JsonObject | null>();

/** The stored entity of a row; parsed once, however many ask. Nobody may change it. */
export function entityOf(row: ConnectionRow): JsonObject | null {
  let entity = ENTITIES.get(row);
  if (entity === undefined) {
    entity = row.entity === null ? null : (JSON.parse(row.entity) as JsonObject);
    ENTITIES.set(row, entity);
  }
  return entity;
}

/** The row with another entity. */
export function withEntity(row: ConnectionRow, entity: JsonObject): ConnectionRow {
  const changed = { ...row, entity: JSON.stringify(entity) };
  ENTITIES.set(changed, entity);
  return changed;
}

/** The entity as it is stored: secret fields masked, cleared ones null. */
export function maskEntity(entity: JsonObject, ruled: readonly RuledField[]): JsonObject {
  return withValues(
    entity,
    ruled.map(({ field, ruling }) => [field.found.path, ruling.kind === 'clear' ? null : MASK] as const),
  );
}

/** A stored entity with each field's reference in its place. */
export function fillEntity(entity: JsonObject, references: readonly (readonly [string, Json])[]): JsonObject {
  return withValues(
    entity,
    references.map(([pointer, value]) => [pathOf(entity, pointer), value] as const),
  );
}

/** A JSON Pointer as a path into this entity: which of its parts are positions depends on what stands there. */
function pathOf(entity: JsonObject, pointer: string): JsonPath {
  const path: (string | number)[] = [];
  for (const segment of parsePointer(pointer) ?? []) {
    path.push(Array.isArray(readAt(entity, path)) ? Number(segment) : segment);
  }
  return path;
}

/**
 * A secret of an element that has only its position for a name goes with the stored element only while nothing around
 * it moved: same length, same plain members. Whether its neighbours' secrets are set or not tells nothing.
 *
 * @param fields those that are to be the stored elements' secrets
 * @param stored the stored entity, and the references in it
 */
export function refuseMovedElements(
  fields: readonly PreparedField[],
  { event, fields: all }: Pick<PreparedEvent, 'event' | 'fields'>,
  stored: { readonly entity: JsonObject | null; readonly references: readonly ReferenceRow[] },
): void {
  if (fields.every(({ found }) => found.positional === null)) return;
  const before = fillEntity(
    stored.entity ?? {},
    stored.references.map(({ pointer }) => [pointer, null] as const),
  );
  const after = withValues(
    event.entity ?? {},
    (all ?? []).map(({ found }) => [found.path, null] as const),
  );
  const hasMoved = remembered((pointer) => !sameElements(at(after, pointer), at(before, pointer)));
  for (const { found } of fields)
    if (found.positional?.arrayPointers.some(hasMoved) === true)
      throw new EventError(
        'MASK_POSITION_CHANGED',
        `${found.pointer} is in an array without names that is not the stored one: whose secret it is cannot be told`,
        found.pointer,
      );
}

/** An array is compared once, however many of its elements ask. */
function remembered(judge: (pointer: string) => boolean): (pointer: string) => boolean {
  const verdicts = new Map<string, boolean>();
  return (pointer) => {
    const verdict = verdicts.get(pointer) ?? judge(pointer);
    verdicts.set(pointer, verdict);
    return verdict;
  };
}

export function at(entity: JsonObject, pointer: string): Json | undefined {
  return readAt(entity, pathOf(entity, pointer));
}

function sameElements(left: Json | undefined, right: Json | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return canonicalJson(withoutNulls(left)) === canonicalJson(withoutNulls(right));
}

/** A member that is null and one that is not there mean the same. */
function withoutNulls(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutNulls);
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}
