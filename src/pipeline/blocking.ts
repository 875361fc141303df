import { compareOrder } from '../events/order.js';
import type { EventOrder, Publication } from '../terms.js';
import type { DeadLetterHead } from './ledger.js';
import { isLoss } from './loss.js';
import type { PreparedEvent } from './prepare.js';
import { recordHash } from './record-hash.js';

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
