import type { EntityRoot, Json, JsonObject } from '../terms.js';
import { invalid, isObject, member, optionalObject } from './fields.js';
import { pointer } from './pointer.js';
import type { Reading } from './reading.js';

/** Members that carry old and new values of other members, secrets included. */
const HISTORY_MEMBERS = ['changeDescription', 'incrementalChangeDescription'] as const;

/**
 * The full state a change event carries, as an object or as a JSON string of one, without its history; null where it
 * carries none.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_DEEP`, `EVENT_INVALID`
 */
export function readEntity(change: JsonObject, base: string, reading: Reading): JsonObject | null {
  const at = pointer(base, 'entity');
  const member_ = member(change, 'entity');
  const entity = typeof member_ === 'string' ? reading.json(member_, at) : member_;
  if (entity === null) return null;
  if (!isObject(entity)) throw invalid(at, 'must be an object, or a JSON string of one');
  dropHistory(entity);
  return entity;
}

/**
 * Removes every `changeDescription` and `incrementalChangeDescription`, at any depth, in place: the tree was parsed a
 * moment ago and is nobody else's. Recursion is bounded by the depth limit of the parser.
 */
export function dropHistory(value: Json): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    value.forEach(dropHistory);
    return;
  }
  for (const name of HISTORY_MEMBERS) if (Object.hasOwn(value, name)) delete value[name];
  Object.values(value).forEach(dropHistory);
}

/** Where each root keeps its secrets: every step on the way is an object, or absent. */
const CONNECTION_PATHS: Readonly<Record<EntityRoot, readonly (readonly string[])[]>> = {
  service: [['connection', 'config']],
  bot: [['authenticationMechanism', 'config']],
  ingestionPipeline: [['sourceConfig', 'config'], ['openMetadataServerConnection']],
  workflow: [['request', 'connection'], ['openMetadataServerConnection']],
};

/**
 * Refuses an entity whose secrets sit in something other than an object: a connection as one long text would pass
 * through with its password in the clear, since no field of it could be told.
 *
 * @throws EventError `EVENT_INVALID`
 */
export function requireConnectionShape(entity: JsonObject, root: EntityRoot, at: string): void {
  for (const path of CONNECTION_PATHS[root]) requireObjects(entity, path, at);
}

function requireObjects(entity: JsonObject, path: readonly string[], at: string): void {
  let state: JsonObject | null = entity;
  let base = at;
  for (const name of path) {
    state = optionalObject(state, name, base);
    if (state === null) return;
    base = pointer(base, name);
  }
}
