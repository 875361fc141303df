import type { DeadLetterRow, StoredSecretRow } from '../database/rows.js';
import { encodeDeadLetter } from '../events/dead-letter.js';
import { sha256Hex } from '../hash.js';
import type { Sealer } from './context.js';
import type { Changes, DeadLetterHead, LockedState } from './ledger.js';
import { outboxRow } from './outbox.js';

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
 * Losses that a new state puts an end to: their field was written, refers to something else, or is not set any more. A
 * field that is only masked is as lost as before.
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
