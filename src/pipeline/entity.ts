import { readAt, withValues, type JsonPath } from '../catalog/json-access.js';
import { parsePointer } from '../catalog/json-pointer.js';
import { EventError } from '../errors.js';
import { canonicalJson } from '../events/order.js';
import { MASK, type Json, type JsonObject } from '../terms.js';
import type { RuledField } from './new-references.js';

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
 * A masked element that has only its position for a name is the stored one only while nothing around it moved: same
 * length, same plain members.
 */
export function refuseMovedElements(
  ruled: readonly RuledField[],
  masked: JsonObject,
  storedEntity: JsonObject | null,
): void {
  for (const { field } of ruled) {
    const { positional, pointer } = field.found;
    if (field.incoming.kind !== 'mask' || positional === null) continue;
    const moved = positional.arrayPointers.some(
      (arrayPointer) => !sameJson(at(masked, arrayPointer), at(storedEntity, arrayPointer)),
    );
    if (moved)
      throw new EventError(
        'MASK_POSITION_CHANGED',
        `${pointer} is masked in an array without names that has changed`,
        pointer,
      );
  }
}

function at(entity: JsonObject | null, pointer: string): Json | undefined {
  return entity === null ? undefined : readAt(entity, pathOf(entity, pointer));
}

function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  return left !== undefined && right !== undefined && canonicalJson(left) === canonicalJson(right);
}
