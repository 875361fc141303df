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

/** Names of the three source topics; two or all of them may be one and the same. */
export interface SourceTopics {
  readonly created: string;
  readonly updated: string;
  readonly deleted: string;
}

/** What a topic says of its events; null where it serves several meanings, or is none of ours. */
function eventTypeOfTopic(topic: string, topics: SourceTopics): EventType | null {
  const meanings: EventType[] = [];
  if (topic === topics.created) meanings.push('entityCreated');
  if (topic === topics.updated) meanings.push('entityUpdated');
  if (topic === topics.deleted) meanings.push('entityDeleted');
  return meanings.length === 1 ? (meanings[0] ?? null) : null;
}

/** The topic an event of this type belongs to. */
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
 * What a CloudEvent type means: an event type itself, or `connection.created`, … between dots or alone
 * (`com.acme.connection.created.v1`); null for any other, and where it says two things.
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
  /** A null or empty value: acknowledged and counted, never a deletion. */
  | { readonly kind: 'tombstone'; readonly key: string | null }
  /** An event that tells of something else than a new state: acknowledged and counted. */
  | { readonly kind: 'ignored'; readonly key: string | null }
  /** To become a dead letter. Ids are given where they could still be read without doubt. */
  | {
      readonly kind: 'undecodable';
      readonly error: EventError;
      /** The record key, where it can be a connection id. */
      readonly key: string | null;
      readonly eventId: string | null;
      readonly connectionId: string | null;
      /** The event's own time; the record's, where that cannot be read or is refused. */
      readonly timestampMs: number;
      /** Set where all of it could be read, and only its time is refused. */
      readonly untimed?: SourceEvent;
    };

/** `CLOCK_SKEW_SECONDS` where nobody set it. */
const CLOCK_SKEW_MS = 300_000;
/** Earlier than this is a time in seconds, taken for milliseconds. */
const YEAR_2000_MS = 946_684_800_000;

interface Ids {
  eventId: string | null;
  connectionId: string | null;
  timestampMs: number;
}

/**
 * Reads one record of the source topics (docs/events.md): a CloudEvent or a bare change event. Never throws: what cannot
 * be read or is refused comes back as `undecodable`, with an error that names members, never values.
 *
 * @param nowMs the present, milliseconds since the epoch
 * @param clockSkewMs an event that is further ahead of it is refused
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
    'row-bytes': `the database refuses a row with the record, which has ${size} bytes`,
  }[reason];
  const code = reason === 'row-bytes' ? 'EVENT_NOT_STORABLE' : 'EVENT_TOO_LARGE';
  return new EventError(code, `${message}: kept without its payload, which is at ${at}`);
}

/** A defect must not stop the partition, and its text may quote the event: the record becomes a dead letter. */
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
  // Only now, so that the refusal can name its connection and its event.
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
  if (timestampMs < YEAR_2000_MS) return refusal('is from before the year 2000: is its time in seconds?');
  return null;
}

/** Whether its type says that it tells of something else. */
function carriesNoState({ change, context }: OpenedEnvelope): boolean {
  const type = member(change, 'eventType') ?? context?.type;
  return STATELESS_TYPES.some((one) => one === type);
}

/** What can be said of a record before anything of it is checked. */
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
    ids.connectionId = null; // whose event this is stays unknown
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
    if (meant === null) throw invalid(at, 'is missing, and the CloudEvent type is none that stands for one');
    return meant;
  }
  const meant = eventTypeOfTopic(topic, topics);
  if (meant === null) throw invalid(at, 'is missing, and the topic does not tell');
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
  // A deletion stores and emits nothing of its entity, so its shape is no reason to keep the secrets.
  if (!deletion) requireConnectionShape(entity, entityClass.root, at);
}

/** The deletion of a user who is not said to be a human is accepted: it stores nothing, and may be a bot's. */
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
