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
 * The dead letter that an event must stay behind, or null: an older one that was to set a field which this event masks, or
 * of which nobody knows what it was to set, where this event masks any. What masks nothing is never held back.
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
 * Events are full state: an applied one supersedes the older dead letters that it did not have to wait for. One that holds
 * nothing back stays where the event only masks what it was to set.
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

/** Whether somebody has to say what is right: it holds nothing back, and a retry applies it as the newest. */
export function awaitsDecision({ code }: Pick<DeadLetterHead, 'code'>): boolean {
  return code === 'ORDER_CONFLICT' || code === 'EVENT_ID_REUSED';
}

/** Whether the event masks a field that a dead letter was to set; any field, where nobody knows which that was. */
function maskedBy({ fields }: PreparedEvent): (head: DeadLetterHead) => boolean {
  const masked = new Set(
    (fields ?? []).filter(({ incoming }) => incoming.kind === 'mask').map(({ path }) => path),
  );
  return ({ sets }) => (sets === null ? masked.size > 0 : sets.some((path) => masked.has(path)));
}

function isOlderDead(head: DeadLetterHead, prepared: PreparedEvent, isOwn: IsOwn): boolean {
  return head.state === 'dead' && !isLoss(head) && !isOwn(head) && isOlder(head, prepared);
}

/** Whether a dead letter is of the record at hand. */
export type IsOwn = (head: DeadLetterHead) => boolean;

/**
 * By its event, or by its record, where it was kept before anybody could read an event in it. Never by a place alone: a
 * topic that is made anew, and every file of a pipe, begin at the same one.
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

/** Whether no event could be read in its record. */
export function isUndecoded({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): boolean {
  return eventOrder === null || isPublication(eventOrder);
}

/** The time that kept events are put in order by, milliseconds since the epoch; 0: not known. */
export function keptTimeMs({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): number {
  if (eventOrder === null) return 0;
  return isPublication(eventOrder) ? eventOrder.publishedAtMs : eventOrder.timestampMs;
}

/** The version that kept events of one time are put in order by. */
export function keptVersion({ eventOrder }: Pick<DeadLetterHead, 'eventOrder'>): number {
  return eventOrder === null || isPublication(eventOrder) ? 0 : (eventOrder.version ?? 0);
}

/**
 * Whether the event is later than the dead letter. Of a record that could not be read only the publishing tells: its place
 * in a partition, else its time. In doubt the event is the later one, for it has arrived later.
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
 * Pointers of the secrets that an event would set to something else than what is stored, where it is older by its time and
 * newer by its version: two clocks disagree, and one of the two states has the password that counts. Null: no such event.
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

/** What was published before the applied state, as a replay hands it over, is nothing but old. */
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
 * A loss: the dead letter of a secret whose recorded version is gone from the store. No event of its own is behind it, so
 * it has no event id and no payload; it names the connection, the field, and the place of the event that set the field.
 * It blocks nothing. It goes when the field is set anew or cleared, or when the version is there again. A retry of it is
 * another look at the store.
 */
export function isLoss({ code, eventId }: Pick<DeadLetterHead, 'code' | 'eventId'>): boolean {
  return code === 'SECRET_VERSION_GONE' && eventId === null;
}

/** What the loss of a stored secret is kept as. */
export function lossHash({ manager, secretId }: Pick<StoredSecretRow, 'manager' | 'secretId'>): string {
  return sha256Hex(JSON.stringify(['loss', manager, secretId]));
}

/**
 * The rows that tell of a loss: the first time its dead letter and the record for the topic, afterwards that it was
 * looked at again. None where no field is known to name the secret.
 *
 * @param row with the time of the next look at it
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
 * Dead letters of lost secrets that a new state settles: their field was written, refers to something else, or is no longer
 * set. A field that is only masked is as lost as before.
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
