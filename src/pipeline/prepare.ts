import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import type { FoundField } from '../catalog/field-finder.js';
import { formatPointer } from '../catalog/json-pointer.js';
import { EventError } from '../errors.js';
import { contentDigest } from '../events/order.js';
import { eventHash } from '../events/decode.js';
import type { EventOrder, SourceEvent, SourceRecord } from '../terms.js';
import type { PlanContext } from './context.js';
import { readIncoming, type Incoming } from './incoming.js';

/** One secret field of an event, read. */
export interface PreparedField {
  readonly found: FoundField;
  /** The field's identity: {@link FoundField.keyPath} as a JSON Pointer. */
  readonly path: string;
  readonly incoming: Incoming;
}

/** An event with all that can be known of it before the database is asked. */
export interface PreparedEvent {
  readonly record: SourceRecord;
  readonly event: SourceEvent;
  readonly eventHash: string;
  readonly order: EventOrder;
  /** Null where they could not be told. */
  readonly fields: readonly PreparedField[] | null;
  /** Pointers of by-name secrets left as they are (`SECRET_BY_NAME=report`). */
  readonly reported: readonly string[];
  /** Its time to wait is over: what would wait is refused. */
  readonly isLastTry: boolean;
  /** Why it can not be processed as it is; null: it can, as far as is known. */
  readonly error: EventError | null;
}

export function prepareEvent(
  event: SourceEvent,
  record: SourceRecord,
  context: PlanContext,
  isLastTry = false,
): PreparedEvent {
  const base = {
    isLastTry,
    record,
    event,
    eventHash: eventHash(event.connectionId, event.eventId),
    order: orderOf(event, context.fingerprintKey),
  };
  try {
    const { fields, reported } = readFields(event, context);
    return quiet({ ...base, fields, reported, error: firstRefusal(fields) });
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    return quiet({ ...base, fields: null, reported: [], error });
  }
}

/** It holds the record and the entity, values and all: printed, it shows which event it is and nothing else. */
function quiet(prepared: PreparedEvent): PreparedEvent {
  const shown = (): string => `[event ${prepared.eventHash}]`;
  return Object.defineProperties(prepared, { [inspect.custom]: { value: shown }, toJSON: { value: shown } });
}

/** The event with what counts as a secret field of this connection: {@link FoundField.onlyIfStored}. */
export function knownFields(prepared: PreparedEvent, references: readonly { path: string }[]): PreparedEvent {
  if (prepared.fields?.some(({ found }) => found.onlyIfStored) !== true) return prepared;
  const stored = new Set(references.map(({ path }) => path));
  const fields = prepared.fields.filter(({ found, path }) => !found.onlyIfStored || stored.has(path));
  return { ...prepared, fields };
}

function firstRefusal(fields: readonly PreparedField[]): EventError | null {
  for (const { incoming } of fields) if (incoming.kind === 'refused') return incoming.error;
  return null;
}

function readFields(
  event: SourceEvent,
  context: PlanContext,
): { fields: readonly PreparedField[]; reported: readonly string[] } {
  if (event.entity === null || event.eventType === 'entityDeleted') return { fields: [], reported: [] };
  const { root, kind, serviceType, entity } = event;
  const { fields, reported } = context.fields.find({ root, kind, serviceType, entity });
  return {
    reported,
    fields: fields.map((found) => ({
      found,
      path: formatPointer(found.keyPath),
      incoming: readIncoming(found, context.rings.publisher),
    })),
  };
}

function orderOf(event: SourceEvent, key: Buffer): EventOrder {
  const { timestampMs, version, source } = event;
  const { topic, partition, offset } = source;
  return { timestampMs, version, topic, partition, offset, digest: contentDigest(key, event) };
}

/** Keyed, so that equal passwords are not recognised in the database, by connection and path, so that none can be moved. */
export function fingerprintOf(key: Buffer, connectionId: string, path: string, value: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([connectionId, path, value]), 'utf8')
    .digest('hex');
}
