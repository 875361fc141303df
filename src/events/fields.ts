import { EventError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import {
  type Json,
  type JsonObject,
  SERVICE_KINDS,
  type EntityRoot,
  type Kind,
  type SourceRecord,
} from '../terms.js';
import type { CloudEventContext, OpenedEnvelope } from './cloud-event.js';
import { pointer, type Reading } from './json.js';

/** Limits for ids and names of events, connections and persons, in characters. */
const MAX_ID_CHARACTERS = 255;
export const MAX_NAME_CHARACTERS = 512;
export const MAX_QUALIFIED_NAME_CHARACTERS = 3072;

const CONNECTION_ID = /^[\x21-\x7e]{1,255}$/;

/** Whether a text can be a connection id: 1 to 255 printable ASCII characters without spaces. */
export function isConnectionId(value: unknown): value is string {
  return typeof value === 'string' && CONNECTION_ID.test(value);
}

/** The record's key as text if it can be a connection id; null for a binary, empty or too long key. */
export function keyText(key: Buffer | null): string | null {
  if (key === null || key.length > MAX_ID_CHARACTERS) return null;
  const text = key.toString('latin1');
  return isConnectionId(text) ? text : null;
}

/** An own member; null if it is absent. */
export function member(object: JsonObject, name: string): Exclude<Json, null> | null {
  return Object.hasOwn(object, name) ? (object[name] ?? null) : null;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An error that names the member and says what it must be. */
export function invalid(at: string, expected: string): EventError {
  return new EventError('EVENT_INVALID', `${at} ${expected}`, at);
}

/**
 * A text member; null if it is absent.
 *
 * @throws EventError `EVENT_INVALID`: not a string, empty, longer than `maxCharacters`, or with a NUL character
 */
export function optionalText(
  object: JsonObject,
  name: string,
  base: string,
  maxCharacters: number,
): string | null {
  const value = member(object, name);
  if (value === null) return null;
  const at = pointer(base, name);
  if (typeof value !== 'string') throw invalid(at, 'must be a string');
  if (value === '') throw invalid(at, 'must not be empty');
  if (value.length > maxCharacters)
    throw invalid(at, `must not be longer than ${String(maxCharacters)} characters`);
  if (value.includes('\0')) throw invalid(at, 'must not contain a NUL character');
  return value;
}

/** @throws EventError `EVENT_INVALID`: absent, or what `optionalText` refuses */
export function requiredText(object: JsonObject, name: string, base: string, maxCharacters: number): string {
  const value = optionalText(object, name, base, maxCharacters);
  if (value === null) throw invalid(pointer(base, name), 'is missing');
  return value;
}

/** A connection id; null if it is absent. @throws EventError `EVENT_INVALID`: anything else */
export function optionalConnectionId(object: JsonObject, name: string, base: string): string | null {
  const value = member(object, name);
  if (value === null || isConnectionId(value)) return value;
  throw invalid(pointer(base, name), `must be 1 to ${String(MAX_ID_CHARACTERS)} printable ASCII characters`);
}

/** An object member; null if it is absent. @throws EventError `EVENT_INVALID`: anything else */
export function optionalObject(object: JsonObject, name: string, base: string): JsonObject | null {
  const value = member(object, name);
  if (value === null || isObject(value)) return value;
  throw invalid(pointer(base, name), 'must be an object');
}

/** A number member; null if it is absent or something else. */
export function lenientNumber(object: JsonObject, name: string): number | null {
  const value = member(object, name);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Milliseconds since the epoch; null if absent. @throws EventError `EVENT_INVALID`: anything else */
function optionalTimestampMs(object: JsonObject, name: string, base: string): number | null {
  const value = member(object, name);
  if (value === null) return null;
  if (isTimestampMs(value)) return value;
  throw invalid(pointer(base, name), 'must be a whole number of milliseconds since the epoch');
}

function isTimestampMs(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** What follows from an entity's type: where its secrets are and how their ids begin. */
export interface EntityClass {
  /** The entity type in OpenMetadata's own spelling: `databaseService`, `mlmodelService`, `user`, … */
  readonly entityType: string;
  readonly root: EntityRoot;
  readonly kind: Kind;
}

function entityClasses(): Map<string, EntityClass> {
  const classes: EntityClass[] = [
    ...SERVICE_KINDS.map((kind) => ({ entityType: `${kind}Service`, root: 'service' as const, kind })),
    { entityType: 'user', root: 'bot', kind: 'bot' },
    { entityType: 'ingestionPipeline', root: 'ingestionPipeline', kind: 'pipeline' },
    { entityType: 'workflow', root: 'workflow', kind: 'workflow' },
  ];
  return new Map(classes.map((entry) => [entry.entityType.toLowerCase(), entry]));
}

const CLASSES = entityClasses();

/**
 * The class of an entity type, without regard to case, because publishers write both `mlmodelService` and
 * `mlModelService`. Null if the worker does not secure entities of that type.
 */
export function classOf(entityType: string): EntityClass | null {
  return CLASSES.get(entityType.toLowerCase()) ?? null;
}

/**
 * The event's id. It is the change event's own id; else the CloudEvent's id with its source, because it is unique only
 * together with that; else the record's place and the event's time. The time belongs to it because a topic that is deleted
 * and created again begins at the same offset, and its new events must not count as redeliveries. For a line of a pipe the
 * digest of its content stands for the place.
 *
 * @throws EventError `EVENT_INVALID`: the `id` is not a text of 1 to 255 characters
 */
export function eventIdOf(
  change: JsonObject,
  base: string,
  context: CloudEventContext | null,
  record: SourceRecord,
  timestampMs: number,
): string {
  const own = optionalText(change, 'id', base, MAX_ID_CHARACTERS);
  return own ?? cloudEventId(context) ?? `${placeOf(record, timestampMs)}@${String(timestampMs)}`;
}

/** If a line has no time of its own, its number is part of its place: the same line further down is another change. */
function placeOf({ topic, partition, offset, digest, timestampMs }: SourceRecord, eventMs: number): string {
  if (digest === undefined) return `${topic}/${String(partition)}/${String(offset)}`;
  return eventMs === timestampMs ? `line/${digest}/${String(offset)}` : `line/${digest}`;
}

/** The id that an event carries; null if it carries none or an invalid one. Never throws. */
export function peekEventId(change: JsonObject, context: CloudEventContext | null): string | null {
  try {
    return optionalText(change, 'id', '', MAX_ID_CHARACTERS) ?? cloudEventId(context);
  } catch {
    return null;
  }
}

function cloudEventId(context: CloudEventContext | null): string | null {
  if (context?.id == null) return null;
  const id = `${context.source ?? ''}#${context.id}`;
  return id.length <= MAX_ID_CHARACTERS && !id.includes('\0') ? id : `cloudevent:${sha256Hex(id)}`;
}

/**
 * The key of an event in the inbox: SHA-256 (64 hexadecimal digits) of `<connectionId>\n<eventId>`. It is short ASCII, so
 * it can be a key in every database. It contains both ids, so that two connections never share one.
 */
export function eventHash(connectionId: string, eventId: string): string {
  return sha256Hex(`${connectionId}\n${eventId}`);
}

/**
 * The key of an event whose id another event of its connection already has.
 *
 * @param digest keyed digest of its content
 */
export function reusedHash(connectionId: string, eventId: string, digest: string): string {
  return sha256Hex(`${connectionId}\n${eventId}\n${digest}`);
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/**
 * When the change was made, milliseconds since the epoch: the change event's `timestamp`, else the entity's
 * `updatedAt`, else the CloudEvent's time, else the record's.
 *
 * @throws EventError `EVENT_INVALID`: none of them is there, or the first that is there is not a time
 */
export function eventTimeMs(
  change: JsonObject,
  entity: JsonObject | null,
  envelope: OpenedEnvelope,
  record: SourceRecord,
): number {
  const { base, context } = envelope;
  const own = optionalTimestampMs(change, 'timestamp', base);
  if (own !== null) return own;
  const updatedAt = entity && optionalTimestampMs(entity, 'updatedAt', pointer(base, 'entity'));
  if (updatedAt !== null) return updatedAt;
  if (context?.time != null) return parseTime(context.time);
  if (isTimestampMs(record.timestampMs)) return record.timestampMs;
  throw invalid(pointer(base, 'timestamp'), 'is missing, and the record has no time');
}

/** RFC 3339, as CloudEvents writes times. Cuts off what is finer than milliseconds. */
function parseTime(text: string): number {
  const time = text.toUpperCase();
  const ms = RFC_3339.test(time) ? Date.parse(time) : Number.NaN;
  if (!isTimestampMs(ms)) throw invalid('time', 'of the CloudEvent must be an RFC 3339 time from 1970 on');
  return ms;
}

/** Members that carry old and new values of other members, secrets included. */
const HISTORY_MEMBERS = ['changeDescription', 'incrementalChangeDescription'] as const;

/**
 * The full state that a change event carries, as an object or as a JSON string of one, without its history; null if it
 * carries none.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_DEEP`, `EVENT_INVALID`
 */
export function readEntity(change: JsonObject, base: string, reading: Reading): JsonObject | null {
  const at = pointer(base, 'entity');
  const carried = member(change, 'entity');
  const entity = typeof carried === 'string' ? reading.json(carried, at) : carried;
  if (entity === null) return null;
  if (!isObject(entity)) throw invalid(at, 'must be an object, or a JSON string of one');
  dropHistory(entity);
  return entity;
}

/**
 * Removes every `changeDescription` and `incrementalChangeDescription`, at any depth, in place: the caller has just parsed
 * the tree, and nobody else has it. The parser's depth limit bounds the recursion.
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

/** Where entities of each root have their secrets. Every step on the way must be an object or absent. */
const CONNECTION_PATHS: Readonly<Record<EntityRoot, readonly (readonly string[])[]>> = {
  service: [['connection', 'config']],
  bot: [['authenticationMechanism', 'config']],
  ingestionPipeline: [['sourceConfig', 'config'], ['openMetadataServerConnection']],
  workflow: [['request', 'connection'], ['openMetadataServerConnection']],
};

/**
 * Refuses an entity whose secrets are not in an object. A connection written as one long text has no fields that we could
 * find, so its password would go out in the clear.
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
