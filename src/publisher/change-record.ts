import type { FieldFinder } from '../catalog/index.js';
import { EventError } from '../errors.js';
import { decodeRecord, topicOfEventType, type SourceTopics } from '../events/decode.js';
import { encodeCloudEvent, type CloudEventMode } from '../events/cloud-event.js';
import type { KeyRing } from '../fernet/index.js';
import { changeEventOf, type EntityChange } from './change.js';
import { sealFields } from './seal-fields.js';

/** A record as it goes to Kafka. */
export interface ChangeRecord {
  readonly topic: string;
  /** The entity's id, so that all changes of an entity are in one partition. */
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Id of the change. A second attempt must carry the same. */
  readonly id: string;
  /** JSON Pointers, into the entity, of the fields that were sealed here. */
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
 * Builds the record of one change, with its secret fields sealed. It then decodes the record as the worker does, so that
 * a change that the worker would refuse for its form is refused here.
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
  const attributes = {
    id: event.id,
    source: options.source,
    type: topicOfEventType(event.eventType, SOURCE_TOPICS),
    subject: event.entityId,
    time: timeOf(event.timestamp),
  };
  const record = {
    topic: topicOfEventType(event.eventType, options.topics),
    key: event.entityId,
    ...encodeCloudEvent(attributes, { ...event, entity }, options.mode),
    id: event.id,
    sealedFields: sealed,
  };
  refuseWhatTheWorkerRefuses(record, options, nowMs);
  return record;
}

/** The topics' default names, which are also the types of the CloudEvents. */
export const SOURCE_TOPICS: SourceTopics = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
};

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
