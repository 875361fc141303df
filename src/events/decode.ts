import { EventError } from '../errors.js';
import { LIMITS } from '../limits.js';
import {
  type EventType,
  EVENT_TYPES,
  STATELESS_TYPES,
  type JsonObject,
  type SourceEvent,
  type SourceRecord,
  type Unread,
} from '../terms.js';
import { openEnvelope, type CloudEventContext, type OpenedEnvelope } from './cloud-event.js';
import {
  classOf,
  type EntityClass,
  readEntity,
  requireConnectionShape,
  eventIdOf,
  peekEventId,
  invalid,
  isConnectionId,
  isObject,
  keyText,
  lenientNumber,
  MAX_NAME_CHARACTERS,
  MAX_QUALIFIED_NAME_CHARACTERS,
  member,
  optionalConnectionId,
  optionalText,
  requiredText,
  eventTimeMs,
} from './fields.js';
import { pointer, Reading } from './json.js';

/** Names of the three source topics. Two or all of them may be the same topic. */
export interface SourceTopics {
  readonly created: string;
  readonly updated: string;
  readonly deleted: string;
}

/** The type of the events in a topic; null if the topic has events of several types, or is none of ours. */
function eventTypeOfTopic(topic: string, topics: SourceTopics): EventType | null {
  const meanings: EventType[] = [];
  if (topic === topics.created) meanings.push('entityCreated');
  if (topic === topics.updated) meanings.push('entityUpdated');
  if (topic === topics.deleted) meanings.push('entityDeleted');
  return meanings.length === 1 ? (meanings[0] ?? null) : null;
}

/** The topic for events of this type. */
export function topicOfEventType(eventType: EventType, topics: SourceTopics): string {
  switch (eventType) {
    case 'entityCreated':
      return topics.created;
    case 'entityUpdated':
    case 'entityRestored':
      return topics.updated;
    case 'entitySoftDeleted':
    case 'entityDeleted':
      return topics.deleted;
  }
}

/**
 * The event type that a CloudEvent type stands for. It is an event type itself, or contains `connection.created`,
 * `connection.updated` or `connection.deleted` as a part (`com.acme.connection.created.v1`). Null if it contains none of
 * them, or several.
 */
export function eventTypeOfCloudEvent(type: string): EventType | null {
  const own = CLOUD_EVENT_TYPES.get(type);
  if (own !== undefined) return own;
  const meant = CONNECTION_TYPES.filter((word) => `.${type}.`.includes(`.${word}.`));
  return meant.length === 1 ? (CLOUD_EVENT_TYPES.get(meant[0] ?? '') ?? null) : null;
}

const CONNECTION_TYPES = ['connection.created', 'connection.updated', 'connection.deleted'] as const;

const CLOUD_EVENT_TYPES: ReadonlyMap<string, EventType> = new Map([
  ['connection.created', 'entityCreated'],
  ['connection.updated', 'entityUpdated'],
  ['connection.deleted', 'entityDeleted'],
  ['entityCreated', 'entityCreated'],
  ['entityUpdated', 'entityUpdated'],
  ['entitySoftDeleted', 'entitySoftDeleted'],
  ['entityRestored', 'entityRestored'],
  ['entityDeleted', 'entityDeleted'],
]);

export { eventHash, reusedHash } from './fields.js';

/** What a record turned out to be. */
export type Decoded =
  | { readonly kind: 'event'; readonly event: SourceEvent }
  /** A null or empty value. The worker counts it and goes on: it never deletes a connection. */
  | { readonly kind: 'tombstone'; readonly key: string | null }
  /** An event that carries no new state. The worker counts it and goes on. */
  | { readonly kind: 'ignored'; readonly key: string | null }
  /** It becomes a dead letter, with the ids that could be read without doubt. */
  | {
      readonly kind: 'undecodable';
      readonly error: EventError;
      /** The record's key, if it can be a connection id. */
      readonly key: string | null;
      readonly eventId: string | null;
      readonly connectionId: string | null;
      /** The event's own time; the record's time if the event's cannot be read or is refused. */
      readonly timestampMs: number;
      /** Set if the whole event could be read and only its time is refused. */
      readonly untimed?: SourceEvent;
    };

/** Default of `CLOCK_SKEW_SECONDS`. */
const CLOCK_SKEW_MS = 300_000;
/** An earlier time is probably in seconds, not in milliseconds. */
const YEAR_2000_MS = 946_684_800_000;

interface Ids {
  eventId: string | null;
  connectionId: string | null;
  timestampMs: number;
}

/**
 * Reads one record of the source topics (docs/events.md): a CloudEvent or a bare change event. Never throws: a record that
 * it cannot read or refuses comes back as `undecodable`, with an error that names members, never values.
 *
 * @param nowMs the present, milliseconds since the epoch
 * @param clockSkewMs how far an event's time may be ahead of it, milliseconds
 */
export function decodeRecord(
  record: SourceRecord,
  topics: SourceTopics,
  nowMs: number,
  clockSkewMs = CLOCK_SKEW_MS,
): Decoded {
  const { value } = record;
  const key = keyText(record.key);
  if (record.unread !== undefined) {
    const known = { key, eventId: null, connectionId: key, timestampMs: record.timestampMs };
    return { kind: 'undecodable', error: notRead(record, record.unread), ...known };
  }
  if (value === null || value.length === 0) return { kind: 'tombstone', key };
  const reading = new Reading();
  const ids: Ids = { eventId: null, connectionId: null, timestampMs: record.timestampMs };
  try {
    const envelope = openEnvelope(value, record, reading);
    if (!reading.ambiguous && carriesNoState(envelope)) return { kind: 'ignored', key };
    const event = readEvent({ record, envelope, reading, topics }, ids);
    const error = implausible(event.timestampMs, nowMs + clockSkewMs, pointer(envelope.base, 'timestamp'));
    if (error === null) return { kind: 'event', event };
    const { eventId, connectionId } = event;
    const { timestampMs } = record;
    return { kind: 'undecodable', error, key, eventId, connectionId, timestampMs, untimed: event };
  } catch (thrown) {
    const error = reading.problem ?? asEventError(thrown);
    const known = reading.ambiguous ? { ...ids, eventId: null, connectionId: null } : ids;
    return { kind: 'undecodable', error, key, ...known };
  }
}

function notRead({ topic, partition, offset }: SourceRecord, unread: Unread): EventError {
  const { reason, size, firstOffset } = unread;
  const at = `${topic}/${partition} ${firstOffset === offset ? offset : `${firstOffset} to ${offset}`}`;
  const message = {
    'record-bytes': `the record has ${size} bytes, more than ${LIMITS.recordBytes}`,
    'record-headers': `the record has ${size} headers, more than ${LIMITS.recordHeaders}`,
    'batch-bytes': `a batch of ${size} bytes has more than ${LIMITS.batchBytes} once decompressed`,
    'batch-records': `the batch has ${size} records, more than ${LIMITS.batchRecords}`,
    damaged: `the batch of ${size} bytes cannot be decompressed`,
    'row-bytes': `the record has ${size} bytes, and the database takes no row that large`,
  }[reason];
  const code = reason === 'row-bytes' ? 'EVENT_NOT_STORABLE' : 'EVENT_TOO_LARGE';
  return new EventError(code, `${message}: kept without its payload, which is at ${at}`);
}

/**
 * Any other error is a defect of ours. It must not stop the partition, so the record becomes a dead letter. Its text is
 * not passed on: it may quote the event.
 */
function asEventError(thrown: unknown): EventError {
  if (thrown instanceof EventError) return thrown;
  return new EventError('EVENT_NOT_DECODABLE', 'the record could not be read');
}

interface Source {
  readonly record: SourceRecord;
  readonly envelope: OpenedEnvelope;
  readonly reading: Reading;
  readonly topics: SourceTopics;
}

function readEvent(source: Source, ids: Ids): SourceEvent {
  const { record, reading } = source;
  const { change, base, context } = source.envelope;
  peek(change, context, record, ids);
  const entity = readEntity(change, base, reading);
  const connectionId = readConnectionId(change, entity, base, record, ids);
  // Not earlier, so that the dead letter can name its connection and its event.
  if (reading.problem !== null) throw reading.problem;

  const eventType = readEventType(change, base, context, record.topic, source.topics);
  const entityClass = readEntityClass(change, base);
  const timestampMs = eventTimeMs(change, entity, source.envelope, record);
  ids.timestampMs = timestampMs;
  const eventId = eventIdOf(change, base, context, record, timestampMs);
  ids.eventId = eventId;
  requireEntity(entity, eventType, entityClass, base);
  return {
    eventId,
    eventType,
    entityType: entityClass.entityType,
    root: entityClass.root,
    kind: entityClass.kind,
    connectionId,
    ...readNames(change, entity, eventType, base),
    timestampMs,
    version: (entity && lenientNumber(entity, 'version')) ?? lenientNumber(change, 'currentVersion'),
    actor: optionalText(change, 'userName', base, MAX_NAME_CHARACTERS),
    entity,
    source: { topic: record.topic, partition: record.partition, offset: record.offset },
  };
}

/** @param latestMs the latest time that an event may have */
function implausible(timestampMs: number, latestMs: number, at: string): EventError | null {
  const refusal = (what: string): EventError =>
    new EventError('TIMESTAMP_IMPLAUSIBLE', `the event ${what}`, at);
  if (timestampMs > latestMs)
    return refusal('is further ahead of this machine’s clock than CLOCK_SKEW_SECONDS allows');
  if (timestampMs < YEAR_2000_MS)
    return refusal('is from before the year 2000: its time may be in seconds and must be in milliseconds');
  return null;
}

/** Whether the event's type says that it carries no new state. */
function carriesNoState({ change, context }: OpenedEnvelope): boolean {
  const type = member(change, 'eventType') ?? context?.type;
  return STATELESS_TYPES.some((one) => one === type);
}

/** Notes the ids of an event before it is checked, for the case that it is refused. */
function peek(change: JsonObject, context: CloudEventContext | null, record: SourceRecord, ids: Ids): void {
  const entity = member(change, 'entity');
  const candidates = [member(change, 'entityId'), isObject(entity) ? member(entity, 'id') : null];
  ids.connectionId = candidates.find(isConnectionId) ?? keyText(record.key);
  ids.eventId = peekEventId(change, context);
}

function readConnectionId(
  change: JsonObject,
  entity: JsonObject | null,
  base: string,
  record: SourceRecord,
  ids: Ids,
): string {
  const outer = optionalConnectionId(change, 'entityId', base);
  const inner = entity && optionalConnectionId(entity, 'id', pointer(base, 'entity'));
  if (outer !== null && inner !== null && outer !== inner) {
    ids.connectionId = null; // nobody can tell which connection the event belongs to
    throw invalid(pointer(base, 'entityId'), 'differs from entity.id');
  }
  ids.connectionId = outer ?? inner ?? keyText(record.key);
  if (ids.connectionId === null) throw invalid(pointer(base, 'entityId'), 'is missing');
  return ids.connectionId;
}

function readEventType(
  change: JsonObject,
  base: string,
  context: CloudEventContext | null,
  topic: string,
  topics: SourceTopics,
): EventType {
  const at = pointer(base, 'eventType');
  const own = member(change, 'eventType');
  if (own !== null) {
    const known = EVENT_TYPES.find((type) => type === own);
    if (known === undefined) throw invalid(at, `must be one of ${EVENT_TYPES.join(', ')}`);
    return known;
  }
  if (context?.type != null) {
    const meant = eventTypeOfCloudEvent(context.type);
    if (meant === null)
      throw invalid(at, 'is missing, and the CloudEvent type does not stand for an event type');
    return meant;
  }
  const meant = eventTypeOfTopic(topic, topics);
  if (meant === null) throw invalid(at, 'is missing, and the topic does not tell which it is');
  return meant;
}

function readEntityClass(change: JsonObject, base: string): EntityClass {
  const entityType = requiredText(change, 'entityType', base, MAX_NAME_CHARACTERS);
  const found = classOf(entityType);
  if (found !== null) return found;
  const at = pointer(base, 'entityType');
  const message = `${at} must be <kind>Service, user, ingestionPipeline or workflow`;
  throw new EventError('ENTITY_TYPE_UNSUPPORTED', message, at);
}

function requireEntity(
  entity: JsonObject | null,
  eventType: EventType,
  entityClass: EntityClass,
  base: string,
): void {
  const at = pointer(base, 'entity');
  const deletion = eventType === 'entityDeleted';
  if (entity === null) {
    if (!deletion) throw invalid(at, 'is missing');
    return;
  }
  if (entityClass.root === 'bot') requireBot(entity, deletion, at);
  // We neither store nor publish the entity of a deletion, so its shape must not prevent deleting the secrets.
  if (!deletion) requireConnectionShape(entity, entityClass.root, at);
}

/** A deletion need not say whether the user is a bot: it stores nothing, and a bot's secrets must go. */
function requireBot(entity: JsonObject, deletion: boolean, at: string): void {
  const isBot = member(entity, 'isBot');
  if (isBot === true || (deletion && isBot === null)) return;
  throw new EventError('NOT_A_BOT', `${pointer(at, 'isBot')} is not true`, pointer(at, 'isBot'));
}

function readNames(
  change: JsonObject,
  entity: JsonObject | null,
  eventType: EventType,
  base: string,
): Pick<SourceEvent, 'serviceType' | 'name' | 'fullyQualifiedName'> {
  const at = pointer(base, 'entity');
  const state = entity ?? {};
  const read = eventType === 'entityDeleted' ? optionalText : requiredText;
  return {
    serviceType: optionalText(state, 'serviceType', at, MAX_NAME_CHARACTERS),
    name: read(state, 'name', at, MAX_NAME_CHARACTERS),
    fullyQualifiedName:
      optionalText(state, 'fullyQualifiedName', at, MAX_QUALIFIED_NAME_CHARACTERS) ??
      optionalText(change, 'entityFullyQualifiedName', base, MAX_QUALIFIED_NAME_CHARACTERS),
  };
}
