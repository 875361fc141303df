import { readAt, withValues, type JsonPath, parsePointer, formatPointer } from '../catalog/json-path.js';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { canonicalJson } from '../events/order.js';
import { MASK, type Json, type JsonObject } from '../terms.js';
import type { RuledField } from './new-state.js';
import type { PreparedEvent, PreparedField } from './prepare.js';

const ENTITIES = new WeakMap<ConnectionRow, JsonObject | null>();

/** The stored entity of a row, parsed once and shared: do not change it. */
export function entityOf(row: ConnectionRow): JsonObject | null {
  let entity = ENTITIES.get(row);
  if (entity === undefined) {
    entity = row.entity === null ? null : (JSON.parse(row.entity) as JsonObject);
    ENTITIES.set(row, entity);
  }
  return entity;
}

/** The row with this entity in place of its own. */
export function withEntity(row: ConnectionRow, entity: JsonObject): ConnectionRow {
  const changed = { ...row, entity: JSON.stringify(entity) };
  ENTITIES.set(changed, entity);
  return changed;
}

/** The entity for the database: secret fields masked, cleared ones null. */
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

/** A JSON Pointer as a path into this entity. A part is a position only if the entity has an array there. */
function pathOf(entity: JsonObject, pointer: string): JsonPath {
  const path: (string | number)[] = [];
  for (const segment of parsePointer(pointer) ?? []) {
    path.push(Array.isArray(readAt(entity, path)) ? Number(segment) : segment);
  }
  return path;
}

/**
 * An array element without a name is known only by its position. Its stored secret stays with it only if the array did not
 * change: same length, same plain members. Whether the other elements' secrets are set does not count.
 *
 * @param fields fields that would keep the stored elements' secrets
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

/** Compares each array only once, even if several of its elements have secrets. */
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

/** A null member and a missing one mean the same. */
function withoutNulls(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutNulls);
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

/** A place in an entity, as a chain of keys. The path is made only when it is needed. */
export interface Step {
  readonly parent: Step | null;
  readonly segment: string | number;
}

/** A place in which two states of an entity differ. Null: that state has nothing there. */
export interface Difference {
  readonly at: Step;
  readonly before: Json;
  readonly after: Json;
}

export function pathOfStep(step: Step): (string | number)[] {
  const path: (string | number)[] = [];
  for (let at: Step | null = step; at !== null; at = at.parent) path.push(at.segment);
  return path.reverse();
}

export function pointerOfStep(step: Step): string {
  return formatPointer(pathOfStep(step));
}

/**
 * The topmost places in which two states differ, in the order of the newer one: an object that only one of them has is
 * one difference. A null member and a missing one are the same. One pass, in linear time.
 */
export function* differencesOf(before: Json, after: Json): Generator<Difference> {
  const stack: { at: Step | null; before: Json; after: Json }[] = [{ at: null, before, after }];
  for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
    const { at } = pair;
    if (at !== null && !isSameKind(pair.before, pair.after)) {
      if (pair.before !== pair.after) yield { at, before: pair.before, after: pair.after };
      continue;
    }
    const members = [...segmentsOf(pair.before, pair.after)].reverse();
    for (const segment of members) {
      const step = { parent: at, segment };
      stack.push({ at: step, before: memberOf(pair.before, segment), after: memberOf(pair.after, segment) });
    }
  }
}

/** Everything below a value that has nothing below it, and the value itself where it is such a one. */
export function* leavesOf(value: Json, at: Step): Generator<{ readonly at: Step; readonly value: Json }> {
  const stack: { at: Step; value: Json }[] = [{ at, value }];
  for (let leaf = stack.pop(); leaf !== undefined; leaf = stack.pop()) {
    if (typeof leaf.value !== 'object' || leaf.value === null) {
      if (leaf.value !== null) yield leaf;
      continue;
    }
    for (const segment of segmentsOf(null, leaf.value))
      stack.push({ at: { parent: leaf.at, segment }, value: memberOf(leaf.value, segment) });
  }
}

/** Whether both are objects, or both arrays: then their differences lie deeper. */
function isSameKind(before: Json, after: Json): boolean {
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null)
    return false;
  return Array.isArray(before) === Array.isArray(after);
}

function segmentsOf(before: Json, after: Json): Set<string | number> {
  return new Set([...ownSegments(after), ...ownSegments(before)]);
}

function ownSegments(value: Json): Iterable<string | number> {
  if (Array.isArray(value)) return value.keys();
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}

function memberOf(value: Json, segment: string | number): Json {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return null;
  return (Array.isArray(value) ? value[Number(segment)] : value[segment]) ?? null;
}
