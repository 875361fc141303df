import type { AuditRow, DeadLetterRow, InboxRow } from '../database/rows.js';
import type { ErrorCode, EventErrorCode, EventError } from '../errors.js';
import type { OutgoingRecord } from '../transport.js';
import { encodeDeadLetter, packRecord } from '../events/dead-letter.js';
import { toSealed } from '../fernet/index.js';
import type { EventOrder, RecordOutcome, SourceRecord } from '../terms.js';
import { auditRow } from './audit.js';
import type { PlanContext } from './context.js';
import { setsField } from './incoming.js';
import type { Changes, DeadLetterHead, LockedState } from './ledger.js';
import { outboxRow } from './outbox.js';
import type { PreparedEvent } from './prepare.js';

/** How long until a refusal that can heal by itself is tried again, milliseconds. */
export const RETRY_MS = 10_000;
/** How long a secret id that the store denies, while it grants others, is tried again. */
export const DENIED_FOR_MS = 600_000;

/** What is known of an event that can not be processed, decodable or not. */
export interface Unprocessed {
  readonly eventHash: string;
  readonly record: SourceRecord;
  readonly connectionId: string | null;
  readonly eventId: string | null;
  /** Who changed the entity; null: not known. */
  readonly actor: string | null;
  readonly order: EventOrder | null;
  /** Paths of the fields it was to set; null: not known. */
  readonly sets: readonly string[] | null;
}

export function unprocessed(prepared: PreparedEvent): Unprocessed {
  return {
    eventHash: prepared.eventHash,
    record: prepared.record,
    connectionId: prepared.event.connectionId,
    eventId: prepared.event.eventId,
    actor: prepared.event.actor,
    order: prepared.order,
    sets: prepared.fields?.filter(({ incoming }) => setsField(incoming)).map(({ path }) => path) ?? null,
  };
}

/** Row of the inbox: what became of an event. */
export function inboxRow(
  event: Pick<Unprocessed, 'eventHash' | 'record' | 'connectionId' | 'eventId'>,
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
  };
}

/**
 * A dead letter: the row that keeps it, its record for the topic, its outcome. One that is refused again for the same
 * reason (a retry, a redelivery) is neither published nor audited again.
 *
 * @param known the dead letters that the database has of this connection
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
  const nextAttemptAtMs = nextAttempt(code, nowMs);
  if (before?.state === 'dead' && before.code === code) {
    const head = { ...before, detail, attempts, nextAttemptAtMs, updatedAtMs: nowMs };
    return { inbox, deadLetters: { set: [], update: [head], removeEventHashes: [] } };
  }
  const payload = sealRecord(event.record, context);
  const row = { ...deadLetterRow(event, code, detail, payload, nowMs), attempts, nextAttemptAtMs };
  return {
    inbox,
    outbox: [
      outboxRow(notice(event, code, payload, nowMs, context), placeOf(event, nowMs), context.rings.database),
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

/** Refusals whose cause goes away by itself are tried again by the scan. */
function nextAttempt(code: EventErrorCode, nowMs: number): number | null {
  return code === 'SECRET_ID_COLLISION' ? nowMs + RETRY_MS : null;
}

/** An event that is kept until it can be applied, or until its time is over. */
export function waiting(
  event: Unprocessed,
  code: 'MASK_WITHOUT_ORIGINAL' | 'STORE_DENIED',
  detail: string,
  state: Pick<LockedState, 'nowMs' | 'deadLetters'>,
  context: PlanContext,
): Changes {
  const { nowMs } = state;
  const known = state.deadLetters.find(
    (head) => head.eventHash === event.eventHash && head.state === 'waiting',
  );
  if (known !== undefined) {
    const nextAttemptAtMs = attemptBefore(known.waitUntilMs, nowMs);
    const update = [
      { ...known, code, detail, attempts: known.attempts + 1, nextAttemptAtMs, updatedAtMs: nowMs },
    ];
    return { deadLetters: { set: [], update, removeEventHashes: [] } };
  }
  const forMs = code === 'STORE_DENIED' ? DENIED_FOR_MS : context.rules.waitMs;
  const row = deadLetterRow(event, code, detail, sealRecord(event.record, context), nowMs);
  return {
    inbox: inboxRow(event, 'waiting', code, nowMs),
    deadLetters: {
      set: [
        {
          ...row,
          state: 'waiting',
          waitUntilMs: nowMs + forMs,
          nextAttemptAtMs: attemptBefore(nowMs + forMs, nowMs),
        },
      ],
      removeEventHashes: [],
    },
  };
}

/** At intervals, and when its time is over. */
function attemptBefore(waitUntilMs: number | null, nowMs: number): number {
  return Math.min(nowMs + RETRY_MS, waitUntilMs ?? Infinity);
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
