import { EventError } from '../errors.js';
import type { EventErrorCode } from '../errors.js';
import { UNREAD_REASONS } from '../terms.js';
import type { Json, JsonObject, SourcePosition, SourceRecord, Unread } from '../terms.js';
import { type OutgoingRecord, byteSize } from '../transport.js';
import { isObject, member } from './fields.js';
import { parseJson } from './json.js';

/** What the topic says of a dead letter (docs/events.md). */
export interface DeadLetterNotice {
  readonly code: EventErrorCode;
  readonly source: SourcePosition;
  /** Null if it could not be read. */
  readonly eventId: string | null;
  /** Null if it could not be read. */
  readonly connectionId: string | null;
  /** When it became a dead letter: RFC 3339, UTC. */
  readonly time: string;
}

/**
 * A record of the dead-letter topic: docs/schemas/dead-letter.headers.json. Its key is the connection's id, its value the
 * sealed payload. If the record would be longer than `maxBytes`, its value is null and its header `payload` says `table`:
 * only the database has the payload then.
 *
 * @param sealedPayload `fernet:` token of `packRecord`'s bytes; null if the dead letter has no source record
 */
export function encodeDeadLetter(
  notice: DeadLetterNotice,
  sealedPayload: string | null,
  maxBytes: number,
): OutgoingRecord {
  const record = (value: Buffer | null): OutgoingRecord => ({
    stream: 'dead-letter',
    key: notice.connectionId,
    value,
    headers: {
      ...headersOf(notice),
      payload: sealedPayload === null ? 'none' : value === null ? 'table' : 'sealed',
    },
  });
  const whole = record(sealedPayload === null ? null : Buffer.from(sealedPayload, 'utf8'));
  return byteSize(whole) <= maxBytes ? whole : record(null);
}

function headersOf(notice: DeadLetterNotice): Record<string, string> {
  const { source, eventId, connectionId } = notice;
  return {
    code: notice.code,
    'source-topic': source.topic,
    'source-partition': String(source.partition),
    'source-offset': String(source.offset),
    ...(eventId === null ? {} : { 'event-id': eventId }),
    ...(connectionId === null ? {} : { 'connection-id': connectionId }),
    time: notice.time,
  };
}

/**
 * A source record as bytes, exactly as it came, so that a retry handles what the first attempt handled:
 * docs/schemas/dead-letter.payload.json. These bytes carry plain values: seal them, never store or log them as they are.
 */
export function packRecord(record: SourceRecord): Buffer {
  const headers = Object.entries(record.headers).map(([name, value]) => [name, value.toString('base64')]);
  const payload = {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestampMs: record.timestampMs,
    key: record.key?.toString('base64') ?? null,
    value: record.value?.toString('base64') ?? null,
    headers: Object.fromEntries(headers) as Record<string, string>,
    ...(record.digest === undefined ? {} : { digest: record.digest }),
    ...(record.unread === undefined ? {} : { unread: record.unread }),
  };
  return Buffer.from(JSON.stringify(payload), 'utf8');
}

/** Without the limits of today, because earlier versions stored larger records. */
const PACKED_LIMITS = { maxDepth: 2, maxValues: Infinity, maxBytes: Infinity };

/** Reads what `packRecord` wrote. @throws EventError `EVENT_NOT_DECODABLE` for anything else */
export function unpackRecord(bytes: Buffer): SourceRecord {
  const payload = parseJson(bytes, PACKED_LIMITS);
  if (!isObject(payload)) throw damaged();
  const headers = member(payload, 'headers');
  if (!isObject(headers)) throw damaged();
  const { topic } = payload;
  if (typeof topic !== 'string') throw damaged();
  const unread = member(payload, 'unread');
  const digest = member(payload, 'digest');
  return {
    ...(typeof digest === 'string' ? { digest } : {}),
    ...(unread === null ? {} : { unread: unreadOf(unread) }),
    topic,
    partition: numberOf(payload, 'partition'),
    offset: numberOf(payload, 'offset'),
    timestampMs: numberOf(payload, 'timestampMs'),
    key: bytesOf(member(payload, 'key')),
    value: bytesOf(member(payload, 'value')),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, bytesOf(value) ?? Buffer.alloc(0)]),
    ),
  };
}

function unreadOf(value: Json): Unread {
  if (!isObject(value)) throw damaged();
  const reason = UNREAD_REASONS.find((one) => one === value['reason']);
  if (reason === undefined) throw damaged();
  const digest = member(value, 'digest');
  return {
    reason,
    size: numberOf(value, 'size'),
    firstOffset: numberOf(value, 'firstOffset'),
    ...(typeof digest === 'string' ? { digest } : {}),
  };
}

function numberOf(payload: JsonObject, name: string): number {
  const value = member(payload, name);
  if (typeof value !== 'number') throw damaged();
  return value;
}

function bytesOf(value: Json): Buffer | null {
  if (value === null) return null;
  if (typeof value !== 'string') throw damaged();
  return Buffer.from(value, 'base64');
}

function damaged(): EventError {
  return new EventError('EVENT_NOT_DECODABLE', 'the payload of the dead letter is damaged');
}
