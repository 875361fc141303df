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

/** Limits on what names an event, a connection or a person; in characters. */
const MAX_ID_CHARACTERS = 255;
export const MAX_NAME_CHARACTERS = 512;
export const MAX_QUALIFIED_NAME_CHARACTERS = 3072;

const CONNECTION_ID = /^[\x21-\x7e]{1,255}$/;

/** Whether a text can be a connection id: 1 to 255 printable ASCII characters without spaces. */
export function isConnectionId(value: unknown): value is string {
  return typeof value === 'string' && CONNECTION_ID.test(value);
}

/** The record key as text where it can be a connection id, else null (binary, empty, over-long keys). */
export function keyText(key: Buffer | null): string | null {
  if (key === null || key.length > MAX_ID_CHARACTERS) return null;
  const text = key.toString('latin1');
  return isConnectionId(text) ? text : null;
}

/** An own member; absent and null are the same. */
export function member(object: JsonObject, name: string): Exclude<Json, null> | null {
  return Object.hasOwn(object, name) ? (object[name] ?? null) : null;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws EventError `EVENT_INVALID`, naming the member and what it has to be */
export function invalid(at: string, expected: string): EventError {
  return new EventError('EVENT_INVALID', `${at} ${expected}`, at);
}

/**
 * A text member, or null where it is absent.
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

/** @throws EventError `EVENT_INVALID`: absent, or as `optionalText` */
export function requiredText(object: JsonObject, name: string, base: string, maxCharacters: number): string {
  const value = optionalText(object, name, base, maxCharacters);
  if (value === null) throw invalid(pointer(base, name), 'is missing');
  return value;
}

/** @throws EventError `EVENT_INVALID`: neither absent nor a connection id */
export function optionalConnectionId(object: JsonObject, name: string, base: string): string | null {
  const value = member(object, name);
  if (value === null || isConnectionId(value)) return value;
  throw invalid(pointer(base, name), `must be 1 to ${String(MAX_ID_CHARACTERS)} printable ASCII characters`);
}

/** An object member, or null where it is absent. @throws EventError `EVENT_INVALID`: anything else */
export function optionalObject(object: JsonObject, name: string, base: string): JsonObject | null {
  const value = member(object, name);
  if (value === null || isObject(value)) return value;
  throw invalid(pointer(base, name), 'must be an object');
}

/** A number member, or null where it is absent or something else. */
export function lenientNumber(object: JsonObject, name: string): number | null {
  const value = member(object, name);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Milliseconds since the epoch, or null where absent. @throws EventError `EVENT_INVALID`: anything else */
function optionalTimestampMs(object: JsonObject, name: string, base: string): number | null {
  const value = member(object, name);
  if (value === null) return null;
  if (isTimestampMs(value)) return value;
  throw invalid(pointer(base, name), 'must be a whole number of milliseconds since the epoch');
}

function isTimestampMs(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** What an entity type means for where secrets are looked for and how their ids begin. */
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
 * The class of an entity type, upper and lower case being the same (publishers write `mlmodelService` and
 * `mlModelService`); null where its secrets are not kept here.
 */
export function classOf(entityType: string): EntityClass | null {
  return CLASSES.get(entityType.toLowerCase()) ?? null;
}

/**
 * The event id: the change event's own; else the CloudEvent's, which is unique only together with its source; else the
 * record's place and the event's time. (The time, because a topic that is deleted and created again starts again at the
 * same place: those must not pass for redeliveries.) A line of a pipe has its content in place of a place.
 *
 * @throws EventError `EVENT_INVALID`: an `id` that is no text of 1 to 255 characters
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

/** Of a line without a time of its own the number as well: the same again, further down, is another change. */
function placeOf({ topic, partition, offset, digest, timestampMs }: SourceRecord, eventMs: number): string {
  if (digest === undefined) return `${topic}/${String(partition)}/${String(offset)}`;
  return eventMs === timestampMs ? `line/${digest}/${String(offset)}` : `line/${digest}`;
}

/** The id a record carries, without checks that throw; null where it carries none that would be accepted. */
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
 * What the inbox knows an event by: SHA-256 (64 hexadecimal digits) of `<connectionId>\n<eventId>`. Of fixed length and
 * ASCII, so it can be a key in every database; of both ids, so that two connections never share one.
 */
export function eventHash(connectionId: string, eventId: string): string {
  return sha256Hex(`${connectionId}\n${eventId}`);
}

/**
 * What an event is known by whose id is another event's of this connection.
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
 * @throws EventError `EVENT_INVALID`: the first of them that is there is no time, or none is there
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

/** RFC 3339, as CloudEvents writes times; finer parts than milliseconds are cut off. */
function parseTime(text: string): number {
  const time = text.toUpperCase();
  const ms = RFC_3339.test(time) ? Date.parse(time) : Number.NaN;
  if (!isTimestampMs(ms)) throw invalid('time', 'of the CloudEvent must be an RFC 3339 time since 1970');
  return ms;
}

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
