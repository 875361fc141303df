import type { DeadLetterRow, StoredSecretRow } from '../database/rows.js';
import { encodeDeadLetter } from '../events/dead-letter.js';
import { compareOrder } from '../events/order.js';
import { sha256Hex } from '../hash.js';
import type { EventOrder, Publication } from '../terms.js';
import type { Sealer } from './context.js';
import type { DeadLetterHead, LockedState, Changes } from './ledger.js';
import { outboxRow } from './outbox.js';
import { type PreparedEvent, type PreparedField, setsField } from './prepare.js';
import { fingerprintOf } from './references.js';
import { recordHash } from './unprocessed.js';

/**
 * The dead letter that blocks an event, or null. An older dead letter blocks it if it was to set a field that this event
 * masks. If its fields are unknown, it blocks every event with a mask. An event without a mask is never blocked.
 */
export function blockerOf(
  prepared: PreparedEvent,
  deadLetters: readonly DeadLetterHead[],
  isOwn: IsOwn,
): DeadLetterHead | null {
  const hides = maskedBy(prepared);
  return (
    deadLetters.find((head) => isOlderDead(head, prepared, isOwn) && !awaitsDecision(head) && hides(head)) ??
    null
  );
}

/**
 * An event carries the full state, so an applied one supersedes older dead letters. One that awaits a decision blocks
 * nothing; it stays if the event only masks what it was to set.
 */
export function supersededBy(
  prepared: PreparedEvent,
  deadLetters: readonly DeadLetterHead[],
  isOwn: IsOwn,
): DeadLetterHead[] {
  const hides = maskedBy(prepared);
  return deadLetters.filter(
    (head) => isOlderDead(head, prepared, isOwn) && !(awaitsDecision(head) && hides(head)),
  );
}

/** Whether an operator has to decide. Such a dead letter blocks no event, and a retry applies it as the newest state. */
export function awaitsDecision({ code }: Pick<DeadLetterHead, 'code'>): boolean {
  return code === 'ORDER_CONFLICT' || code === 'EVENT_ID_REUSED';
}

/** Tells whether the event masks a field that a dead letter was to set; if those fields are unknown, any field. */
function maskedBy({ fields }: PreparedEvent): (head: DeadLetterHead) => boolean {
  const masked = new Set(
    (fields ?? []).filter(({ incoming }) => incoming.kind === 'mask').map(({ path }) => path),
  );
  return ({ sets }) => (sets === null ? masked.size > 0 : sets.some((path) => masked.has(path)));
}

function isOlderDead(head: DeadLetterHead, prepared: PreparedEvent, isOwn: IsOwn): boolean {
  return head.state === 'dead' && !isLoss(head) && !isOwn(head) && isOlder(head, prepared);
}

/** Whether a dead letter was made from the present record. */
export type IsOwn = (head: DeadLetterHead) => boolean;

/**
 * Compares the event's hash, or the record's hash if the dead letter was undecodable. Topic, partition and offset alone
 * are not enough: a recreated topic, and every file of a pipe, begin at the same offset.
 */
export function isOwnOf({ eventHash, record }: PreparedEvent, key: Buffer): IsOwn {
  let ownHash: string | undefined;
  return (head) => {
    if (isLoss(head)) return false;
    if (head.eventHash === eventHash || !isUndecoded(head)) return head.eventHash === eventHash;
    ownHash ??= recordHash(record, key);
    return head.eventHash === ownHash;
  };
}

/** Whether its record could not be decoded as an event. */
export function isUndecoded({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): boolean {
  return eventOrder === null || isPublication(eventOrder);
}

/** The time that kept events are ordered by, milliseconds since the epoch. 0: not known. */
export function keptTimeMs({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): number {
  if (eventOrder === null) return 0;
  return isPublication(eventOrder) ? eventOrder.publishedAtMs : eventOrder.timestampMs;
}

/** The version that orders kept events with the same time. */
export function keptVersion({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): number {
  return eventOrder === null || isPublication(eventOrder) ? 0 : (eventOrder.version ?? 0);
}

/**
 * Whether the dead letter is older than the event. An undecodable record has no event time: in the same partition the offset
 * decides, otherwise the time of publishing. If that is unknown, too, the event counts as the newer one: it arrived later.
 */
function isOlder(
  { eventOrder, topic, partition, position }: DeadLetterHead,
  { order, record }: PreparedEvent,
): boolean {
  if (eventOrder !== null && !isPublication(eventOrder)) return compareOrder(eventOrder, order) < 0;
  const isLine = eventOrder?.isLine === true || record.digest !== undefined;
  if (!isLine && topic === record.topic && partition === record.partition) return position < record.offset;
  return eventOrder === null || eventOrder.publishedAtMs <= record.timestampMs;
}

function isPublication(order: EventOrder | Publication): order is Publication {
  return 'publishedAtMs' in order;
}

/**
 * Finds an event that is older by its time but newer by its version, and sets secrets to other values than the stored ones:
 * two clocks disagree, and only an operator knows which password is right. Returns the pointers of these secrets (empty: the
 * fields are unknown). Null: there is no conflict.
 */
export function conflictOf(
  prepared: PreparedEvent,
  { connection, references }: LockedState,
  key: Buffer,
): readonly string[] | null {
  if (!disagrees(prepared, connection.appliedOrder)) return null;
  const { fields } = prepared;
  if (fields === null) return [];
  const rows = new Map(references.map((row) => [row.path, row]));
  const differs = ({ path, incoming }: PreparedField): boolean => {
    const row = rows.get(path);
    if (incoming.kind === 'text')
      return row?.fingerprint !== fingerprintOf(key, connection.id, path, incoming.value.reveal());
    if (incoming.kind === 'reference') return row?.referenceHash !== sha256Hex(incoming.secretId);
    return setsField(incoming);
  };
  const different = fields.filter(differs).map(({ found }) => found.pointer);
  return different.length === 0 ? null : different;
}

/** An event with a lower offset in the same partition was published earlier: a replay delivers it, and it is simply old. */
function disagrees({ order, record }: PreparedEvent, applied: EventOrder | null): boolean {
  if (applied?.version == null || order.version === null) return false;
  const isBefore =
    record.digest === undefined &&
    order.topic === applied.topic &&
    order.partition === applied.partition &&
    order.offset < applied.offset;
  return !isBefore && order.version > applied.version && order.timestampMs < applied.timestampMs;
}

/**
 * A loss: the dead letter of a secret whose recorded version is gone from the store. No event caused it, so it has no event
 * id and no payload; it names the connection, the field, and the record that set the field. It blocks nothing. It is removed
 * when the field is set again or cleared, or when the version is back. Retrying it means looking into the store again.
 */
export function isLoss({ code, eventId }: Pick<DeadLetterHead, 'code' | 'eventId'>): boolean {
  return code === 'SECRET_VERSION_GONE' && eventId === null;
}

/** The event hash that stands for the loss of a stored secret. */
export function lossHash({ manager, secretId }: Pick<StoredSecretRow, 'manager' | 'secretId'>): string {
  return sha256Hex(JSON.stringify(['loss', manager, secretId]));
}

/**
 * The rows of a loss. The first time: its dead letter and the record for the dead-letter topic. Later: only the attempt is
 * counted. None if no field refers to the secret.
 *
 * @param row its `suspectUntilMs` is the time of the next check
 */
export function lossChanges(row: StoredSecretRow, state: LockedState, ring: Sealer): Changes {
  const { nowMs, deadLetters, references } = state;
  const { suspectUntilMs: nextAttemptAtMs } = row;
  const eventHash = lossHash(row);
  const known = deadLetters.find((head) => head.eventHash === eventHash);
  if (known !== undefined) {
    const update = [{ ...known, attempts: known.attempts + 1, nextAttemptAtMs, updatedAtMs: nowMs }];
    return { deadLetters: { set: [], update, removeEventHashes: [] } };
  }
  const field = references.find(({ secretId }) => secretId === row.secretId);
  if (field === undefined) return {};
  const { topic, partition, offset } = field.setOrder;
  const letter: DeadLetterRow = {
    eventHash,
    connectionId: row.connectionId,
    state: 'dead',
    code: 'SECRET_VERSION_GONE',
    detail: `${field.path}: the store no longer has the recorded version of ${row.secretId}`,
    eventId: null,
    topic,
    partition,
    position: offset,
    eventOrder: field.setOrder,
    sets: [field.path],
    payload: '',
    attempts: 1,
    waitUntilMs: null,
    nextAttemptAtMs,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
  return {
    deadLetters: { set: [letter], removeEventHashes: [] },
    outbox: [noticeOf(row, { topic, partition, offset }, nowMs, ring)],
  };
}

function noticeOf(
  { connectionId }: StoredSecretRow,
  source: { topic: string; partition: number; offset: number },
  nowMs: number,
  ring: Sealer,
) {
  const time = new Date(nowMs).toISOString();
  const notice = { code: 'SECRET_VERSION_GONE', source, eventId: null, connectionId, time } as const;
  return outboxRow(encodeDeadLetter(notice, null, Infinity), { connectionId, revision: 0, nowMs }, ring);
}

/**
 * Losses that a new state settles: their field was written, refers to another secret, or is no longer set. If the event only
 * masks the field, the loss stays.
 */
export function endedLosses(
  next: {
    readonly rows: readonly { path: string; secretId: string | null }[];
    readonly writes: readonly { path: string }[];
  },
  { deadLetters, references }: Pick<LockedState, 'deadLetters' | 'references'>,
): string[] {
  const written = new Set(next.writes.map(({ path }) => path));
  const idBefore = new Map(references.map(({ path, secretId }) => [path, secretId]));
  const idNow = new Map(next.rows.map(({ path, secretId }) => [path, secretId]));
  const isEnded = (path: string): boolean => written.has(path) || idNow.get(path) !== idBefore.get(path);
  return deadLetters
    .filter((head) => isLoss(head) && (head.sets ?? []).some(isEnded))
    .map(({ eventHash }) => eventHash);
}
