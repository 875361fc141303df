import { parsePointer } from '../catalog/json-path.js';
import { EventError } from '../errors.js';
import { SecretValue } from '../secret-value.js';
import type { Json, JsonObject } from '../terms.js';

/** A JSON value in which secrets stand as {@link SecretValue}: printing it, or writing it as JSON, shows none of them. */
export type Filled = null | boolean | number | string | SecretValue | Filled[] | FilledObject;
export interface FilledObject {
  [key: string]: Filled;
}

export interface FilledField {
  /** JSON Pointer (RFC 6901) into the entity. */
  readonly path: string;
  /** The text at that place. */
  readonly reference: string;
  readonly value: SecretValue;
}

/**
 * A deep copy of an entity with values in place of references. The entity is not touched.
 *
 * @throws EventError EVENT_INVALID naming the pointer, where its reference does not stand there
 */
export function fillEntity(entity: JsonObject, fields: readonly FilledField[]): FilledObject {
  // structuredClone defines own members only, `__proto__` too.
  const copy: FilledObject = structuredClone(entity);
  for (const field of fields) fillOne(copy, field);
  return copy;
}

function fillOne(copy: FilledObject, { path, reference, value }: FilledField): void {
  const keys = parsePointer(path) ?? [];
  const last = keys.pop();
  let at: Filled | undefined = copy;
  for (const key of keys) at = memberOf(at, key);
  if (last === undefined || at === undefined || memberOf(at, last) !== reference) {
    throw new EventError('EVENT_INVALID', `the entity does not have its reference at ${path}`, path);
  }
  // The member exists, so this never changes a prototype.
  if (Array.isArray(at)) at[Number(last)] = value;
  else Object.defineProperty(at, last, { value, enumerable: true, writable: true, configurable: true });
}

function memberOf(container: Filled | undefined, key: string): Filled | undefined {
  if (typeof container !== 'object' || container === null || container instanceof SecretValue)
    return undefined;
  if (!Object.hasOwn(container, key)) return undefined;
  return Array.isArray(container) ? container[Number(key)] : container[key];
}

/**
 * A plain copy with the values as texts, for the driver that connects with them. Call it where you need the texts, and
 * store the result nowhere.
 *
 * @typeParam T the shape that you expect of the entity. It is not checked: look at what comes from other publishers.
 */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- says what the caller knows of the JSON
export function reveal<T extends object = JsonObject>(filled: FilledObject): T;
export function reveal(filled: Filled): Json;
export function reveal(filled: Filled): unknown {
  if (filled instanceof SecretValue) return filled.reveal();
  if (typeof filled !== 'object' || filled === null) return filled;
  if (Array.isArray(filled)) return filled.map((element) => reveal(element));
  const members = Object.entries(filled).map(([key, member]): [string, Json] => [key, reveal(member)]);
  return Object.fromEntries(members);
}
