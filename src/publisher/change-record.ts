import type { FieldFinder } from '../catalog/index.js';
import { EventError } from '../errors.js';
import { decodeRecord, topicOfEventType, type SourceTopics } from '../events/decode.js';
import type { CloudEventMode } from '../events/secured-event.js';
import type { KeyRing } from '../fernet/index.js';
import type { EventType } from '../terms.js';
import { changeEventOf } from './change.js';
import type { ChangeEvent, EntityChange } from './change.js';
import { sealFields } from './seal-fields.js';

/** A record as it goes to Kafka. */
export interface ChangeRecord {
  readonly topic: string;
  /** The entity's id: all changes of an entity lie in one partition. */
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Id of the change: what a second attempt has to carry, too. */
  readonly id: string;
  /** JSON Pointers into the entity: what was sealed here. */
  readonly sealedFields: readonly string[];
}

export interface ChangeRecordOptions {
  readonly topics: SourceTopics;
  readonly mode: CloudEventMode;
  /** `source` of the CloudEvent: a URI reference that names the metadata server. */
  readonly source: string;
  readonly finder: FieldFinder;
  readonly ring: KeyRing;
}

/**
 * Builds the record of one change: sealed, complete, and read once by the rules of the worker, so that what it would
 * refuse for its form is refused here.
 *
 * @throws EventError naming the member, never a value
 */
export function changeRecordOf(
  change: EntityChange,
  options: ChangeRecordOptions,
  nowMs: number,
): ChangeRecord {
  const { event, entityClass } = changeEventOf(change, nowMs);
  const isBare = event.entity === null || event.eventType === 'entityDeleted';
  const { entity, sealed } = isBare
    ? { entity: event.entity, sealed: [] }
    : sealFields(event.entity, event.entityId, entityClass, options.finder, options.ring);
  const topic = topicOfEventType(event.eventType, options.topics);
  const record = {
    topic,
    key: event.entityId,
    ...encode({ ...event, entity }, options),
    id: event.id,
    sealedFields: sealed,
  };
  refuseWhatTheWorkerRefuses(record, options, nowMs);
  return record;
}

function encode(
  event: ChangeEvent,
  { mode, source }: ChangeRecordOptions,
): Pick<ChangeRecord, 'value' | 'headers'> {
  const attributes = {
    specversion: '1.0',
    id: event.id,
    source,
    type: cloudEventType(event.eventType),
    subject: event.entityId,
    time: timeOf(event.timestamp),
  };
  if (mode === 'structured') {
    const envelope = { ...attributes, datacontenttype: 'application/json', data: event };
    return {
      value: Buffer.from(JSON.stringify(envelope), 'utf8'),
      headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
    };
  }
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  for (const [name, text] of Object.entries(attributes)) headers[`ce_${name}`] = text;
  return { value: Buffer.from(JSON.stringify(event), 'utf8'), headers };
}

function cloudEventType(eventType: EventType): string {
  return topicOfEventType(eventType, {
    created: 'connection.created',
    updated: 'connection.updated',
    deleted: 'connection.deleted',
  });
}

function timeOf(timestampMs: number): string {
  const time = new Date(timestampMs);
  if (!Number.isSafeInteger(timestampMs) || timestampMs < 0 || Number.isNaN(time.getTime())) {
    const message = '/timestamp must be a whole number of milliseconds since the epoch';
    throw new EventError('EVENT_INVALID', message, '/timestamp');
  }
  return time.toISOString();
}

function refuseWhatTheWorkerRefuses(
  { topic, key, value, headers }: ChangeRecord,
  { topics }: ChangeRecordOptions,
  nowMs: number,
): void {
  const decoded = decodeRecord(
    {
      topic,
      partition: 0,
      offset: 0,
      key: Buffer.from(key, 'latin1'),
      value,
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, text]) => [name, Buffer.from(text, 'utf8')]),
      ),
      timestampMs: nowMs,
    },
    topics,
    nowMs,
  );
  if (decoded.kind === 'undecodable') throw decoded.error;
}
