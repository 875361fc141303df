import { createHmac } from 'node:crypto';
import type { AuditRow, DeadLetterRow, InboxRow } from '../database/rows.js';
import { EventError, WorkerError, type ErrorCode, type EventErrorCode } from '../errors.js';
import { encodeDeadLetter, packRecord } from '../events/dead-letter.js';
import { toSealed } from '../fernet/index.js';
import type { EventOrder, Publication, RecordOutcome, SourcePosition, SourceRecord } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import { auditRow } from './audit.js';
import type { PlanContext } from './context.js';
import type { Changes, DeadLetterHead, LockedState } from './ledger.js';
import { outboxRow } from './outbox.js';
import { setsField, type PreparedEvent } from './prepare.js';
import type { DenialCode } from './writer.js';

/** Back-off before a kept event is retried, milliseconds: doubles with each attempt, up to five minutes. */
const RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 300_000;

/** @param attempts made so far, this one not counted */
export function retryAfterMs(attempts: number): number {
  return Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(attempts, 16));
}

/** How long an event waits whose secret id the store refuses while it takes others, milliseconds. */
export const DENIED_FOR_MS = 600_000;

/** What is known of an event that cannot be processed, decodable or not. */
export interface Unprocessed {
  readonly eventHash: string;
  /** The digests of its content, as in {@link InboxRow}. Null: not known. */
  readonly digests: Pick<InboxRow, 'digest' | 'openedDigest'> | null;
  readonly record: SourceRecord;
  readonly connectionId: string | null;
  readonly eventId: string | null;
  /** Who changed the entity; null: not known. */
  readonly actor: string | null;
  readonly order: EventOrder | Publication;
  /** Paths of the fields it was to set; null: not known. */
  readonly sets: readonly string[] | null;
}

export function unprocessed(prepared: PreparedEvent): Unprocessed {
  return {
    eventHash: prepared.eventHash,
    digests: { digest: prepared.order.digest, openedDigest: prepared.openedDigest },
    record: prepared.record,
    connectionId: prepared.event.connectionId,
    eventId: prepared.event.eventId,
    actor: prepared.event.actor,
    order: prepared.order,
    sets: prepared.fields?.filter(({ incoming }) => setsField(incoming)).map(({ path }) => path) ?? null,
  };
}

/** The refusal of an event that the database refuses to store; null for any other error. */
export function unstorable(error: unknown): EventError | null {
  const isRefused = error instanceof WorkerError && 'failure' in error && error.failure === 'refused';
  return isRefused ? new EventError('EVENT_NOT_STORABLE', error.message) : null;
}

/** Longest record key that is kept without the payload; nothing of ours makes a longer one. */
const LONGEST_KEY_BYTES = 1_024;

/**
 * A record as it is kept if the database refuses the whole one: topic, partition, offset, key, size and digest, without
 * value and headers. There is no further fallback.
 *
 * @param key the fingerprint key, for the digest
 */
export function withoutPayload(record: SourceRecord, key: Buffer): SourceRecord {
  const { topic, partition, offset, timestampMs, key: recordKey, value, headers, unread } = record;
  if (unread !== undefined) return record;
  const headerBytes = Object.entries(headers).map(
    ([name, content]) => Buffer.byteLength(name) + content.length,
  );
  const lengths = [recordKey?.length ?? 0, value?.length ?? 0, ...headerBytes];
  const size = lengths.reduce((sum, bytes) => sum + bytes, 0);
  return {
    topic,
    partition,
    offset,
    timestampMs,
    key: recordKey !== null && recordKey.length <= LONGEST_KEY_BYTES ? recordKey : null,
    value: null,
    headers: {},
    ...(record.digest === undefined ? {} : { digest: record.digest }),
    unread: { reason: 'row-bytes', size, firstOffset: offset, digest: recordDigest(record, key) },
  };
}

/** The refusal of an event that is kept {@link withoutPayload}: always EVENT_NOT_STORABLE; the detail has the first reason. */
export function keptBare({ code, message, field }: EventError, record: SourceRecord): EventError {
  const { topic, partition, offset } = record;
  const why = code === 'EVENT_NOT_STORABLE' ? message : `${code}: ${message}`;
  const detail = `${why}; kept without its payload, which is at ${topic}/${partition} ${offset}`;
  return new EventError('EVENT_NOT_STORABLE', detail, field);
}

/** The inbox row of an event: its outcome. */
export function inboxRow(
  event: Pick<Unprocessed, 'eventHash' | 'connectionId' | 'eventId' | 'digests'> & {
    readonly record: SourcePosition;
  },
  outcome: RecordOutcome,
  code: ErrorCode | null,
  nowMs: number,
): InboxRow {
  const { topic, partition, offset } = event.record;
  return {
    eventHash: event.eventHash,
    connectionId: event.connectionId,
    eventId: event.eventId ?? `${topic}/${partition}/${offset}`,
    outcome,
    code,
    topic,
    partition,
    position: offset,
    atMs: nowMs,
    ...(event.digests ?? { digest: null, openedDigest: null }),
  };
}

/** Outcomes that a redelivery does not change. A refused or blocked event is decided again. */
const SETTLED: ReadonlySet<RecordOutcome> = new Set<RecordOutcome>(['applied', 'stale', 'duplicate']);

/** Whether the event has a final outcome already. */
export function isSettled({ inbox }: Pick<LockedState, 'inbox'>): boolean {
  return inbox !== null && SETTLED.has(inbox.outcome);
}

/**
 * The inbox row of an undecodable record that a later event has superseded. The record itself does not show that it is
 * older: without the row a replay would make a dead letter of it again.
 */
export function staleRow(head: DeadLetterHead, nowMs: number): InboxRow {
  const { eventHash, connectionId, eventId, topic, partition, position } = head;
  const record = { topic, partition, offset: position };
  return inboxRow({ eventHash, connectionId, eventId, record, digests: null }, 'stale', null, nowMs);
}

/**
 * The rows of a dead letter: its own row, the record for the dead-letter topic, the outcome, the audit. If it is refused
 * again for the same reason (retry, redelivery), it is neither published nor audited again.
 *
 * @param known the connection's kept events in the database
 */
export function refusal(
  event: Unprocessed,
  error: EventError,
  nowMs: number,
  known: readonly DeadLetterHead[],
  context: PlanContext,
): Changes {
  const before = known.find((head) => head.eventHash === event.eventHash);
  const outcome: RecordOutcome = error.code === 'EVENT_BLOCKED' ? 'blocked' : 'refused';
  const inbox = inboxRow(event, outcome, error.code, nowMs);
  const attempts = (before?.attempts ?? 0) + 1;
  const { code, message: detail } = error;
  const nextAttemptAtMs = nextAttempt(code, nowMs, attempts - 1);
  if (before?.state === 'dead' && before.code === code) {
    const head = { ...before, detail, attempts, nextAttemptAtMs, updatedAtMs: nowMs };
    return { inbox, deadLetters: { set: [], update: [head], removeEventHashes: [] } };
  }
  const payload = sealRecord(event.record, context);
  const row = { ...deadLetterRow(event, code, detail, payload, nowMs), attempts, nextAttemptAtMs };
  return {
    inbox,
    outbox: [
      outboxRow(notice(event, code, payload, nowMs, context), placeOf(event, nowMs), context.rings.outbox),
    ],
    deadLetters: { set: [row], removeEventHashes: [] },
    audit: [refusedRow(event, error, nowMs)],
  };
}

function refusedRow(
  { connectionId, eventId, actor }: Unprocessed,
  error: EventError,
  nowMs: number,
): AuditRow {
  const { field: path, code: detail } = error;
  return auditRow({
    atMs: nowMs,
    action: 'refuse',
    actor,
    connectionId,
    path,
    secretId: null,
    eventId,
    detail,
  });
}

function notice(
  event: Unprocessed,
  code: EventErrorCode,
  payload: string,
  nowMs: number,
  context: PlanContext,
): OutgoingRecord {
  const { record: source, eventId, connectionId } = event;
  const time = new Date(nowMs).toISOString();
  const maxBytes = context.output.maxRecordBytes('dead-letter');
  return encodeDeadLetter({ code, source, eventId, connectionId, time }, payload, maxBytes);
}

function placeOf({ connectionId }: Unprocessed, nowMs: number) {
  return { connectionId, revision: 0, nowMs };
}

/** When the scan retries a refusal whose cause may go away by itself. Null: it does not. */
function nextAttempt(code: EventErrorCode, nowMs: number, attempts: number): number | null {
  const heals = code === 'SECRET_ID_COLLISION' || code === 'SECRET_ID_REFERRED';
  return heals ? nowMs + retryAfterMs(attempts) : null;
}

/** Why an event waits. */
export type WaitingCode = 'MASK_WITHOUT_ORIGINAL' | DenialCode;

/** The rows of a waiting event: it is kept until it can be applied or its waiting time is over. */
export function waiting(
  event: Unprocessed,
  code: WaitingCode,
  detail: string,
  state: Pick<LockedState, 'nowMs' | 'deadLetters'>,
  context: PlanContext,
): Changes {
  const { nowMs } = state;
  const known = state.deadLetters.find(
    (head) => head.eventHash === event.eventHash && head.state === 'waiting',
  );
  if (known !== undefined) {
    const nextAttemptAtMs = attemptBefore(known.waitUntilMs, nowMs, known.attempts);
    const update = [
      { ...known, code, detail, attempts: known.attempts + 1, nextAttemptAtMs, updatedAtMs: nowMs },
    ];
    return { deadLetters: { set: [], update, removeEventHashes: [] } };
  }
  const forMs = code === 'MASK_WITHOUT_ORIGINAL' ? context.rules.waitMs : DENIED_FOR_MS;
  const row = deadLetterRow(event, code, detail, sealRecord(event.record, context), nowMs);
  return {
    inbox: inboxRow(event, 'waiting', code, nowMs),
    deadLetters: {
      set: [
        {
          ...row,
          state: 'waiting',
          waitUntilMs: nowMs + forMs,
          nextAttemptAtMs: attemptBefore(nowMs + forMs, nowMs, 0),
        },
      ],
      removeEventHashes: [],
    },
  };
}

/** The next attempt: at growing intervals, and the last one when the waiting time is over. */
function attemptBefore(waitUntilMs: number | null, nowMs: number, attempts: number): number {
  return Math.min(nowMs + retryAfterMs(attempts), waitUntilMs ?? Infinity);
}

function deadLetterRow(
  event: Unprocessed,
  code: EventErrorCode,
  detail: string,
  payload: string,
  nowMs: number,
): DeadLetterRow {
  const { topic, partition, offset } = event.record;
  return {
    eventHash: event.eventHash,
    connectionId: event.connectionId,
    state: 'dead',
    code,
    detail,
    eventId: event.eventId,
    topic,
    partition,
    position: offset,
    eventOrder: event.order,
    sets: event.sets === null ? null : [...event.sets],
    payload,
    attempts: 1,
    waitUntilMs: null,
    nextAttemptAtMs: null,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

function sealRecord(record: SourceRecord, { rings }: PlanContext): string {
  return toSealed(rings.deadLetter.seal(packRecord(record).toString('utf8')));
}

/**
 * Identifies an undecodable record, 64 hexadecimal digits. Its event id cannot be trusted, so the hash is over its topic,
 * partition, offset and value; for a line of a pipe over the line's digest alone. The hash is shown to people, so it is
 * keyed: a plain one would let somebody who knows the rest of the record guess a password in it.
 */
export function recordHash(record: SourceRecord, key: Buffer): string {
  const { topic, partition, offset, digest } = record;
  if (digest !== undefined) return keyedDigest(key, ['line', digest]);
  return keyedDigest(key, ['record', topic, partition, offset], record);
}

/** Keyed digest of a record's content without its offset: for lines of a pipe, and for records kept without payload. */
export function recordDigest(record: SourceRecord, key: Buffer): string {
  const headers = Object.entries(record.headers).map(([name, value]) => [name, value.toString('base64')]);
  return keyedDigest(key, ['content', record.topic, record.key?.toString('base64') ?? null, headers], record);
}

function keyedDigest(key: Buffer, what: readonly unknown[], content?: SourceRecord): string {
  const hmac = createHmac('sha256', key);
  hmac.update(`record-digest/1\n${JSON.stringify(what)}\n`, 'utf8');
  if (content === undefined) return hmac.digest('hex');
  const { value, unread } = content;
  if (unread !== undefined) {
    const { reason, size, digest = null } = unread;
    return hmac.update(`unread\n${JSON.stringify([reason, size, digest])}`, 'utf8').digest('hex');
  }
  return (value === null ? hmac.update('null') : hmac.update('value\n').update(value)).digest('hex');
}
