import type { ErrorCode } from '../errors.js';
import { compareOrder } from '../events/order.js';
import type { DeadLetterHead } from './ledger.js';
import { isLoss } from './loss.js';
import type { PreparedEvent } from './prepare.js';

/** Codes of records of which nobody knows what they were to set, nor when. */
const NOT_DECODED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'EVENT_NOT_DECODABLE',
  'EVENT_INVALID',
  'EVENT_TOO_DEEP',
  'NUMBER_NOT_EXACT',
]);

/**
 * The dead letter that an event must stay behind, or null: one that could not be decoded (nobody knows what it was to
 * set), or an older one that was to set a field which this event masks.
 */
export function blockerOf(
  prepared: PreparedEvent,
  deadLetters: readonly DeadLetterHead[],
): DeadLetterHead | null {
  const masked = new Set(
    (prepared.fields ?? []).filter(({ incoming }) => incoming.kind === 'mask').map(({ path }) => path),
  );
  const blocks = (head: DeadLetterHead): boolean => {
    if (head.state !== 'dead' || isLoss(head) || isOwn(head, prepared)) return false;
    if (head.eventOrder === null) return NOT_DECODED.has(head.code) || masked.size > 0;
    if (compareOrder(head.eventOrder, prepared.order) >= 0) return false;
    return head.sets === null ? masked.size > 0 : head.sets.some((path) => masked.has(path));
  };
  return deadLetters.find(blocks) ?? null;
}

/** The dead letter of this very record: also where it was kept before anybody could read an event in it. */
function isOwn(head: DeadLetterHead, { eventHash, record }: PreparedEvent): boolean {
  const { topic, partition, offset } = record;
  const isSamePlace = head.topic === topic && head.partition === partition && head.position === offset;
  return head.eventHash === eventHash || (head.eventOrder === null && isSamePlace);
}

/** Events are full state: an applied one supersedes the older dead letters that it did not have to wait for. */
export function supersededBy(prepared: PreparedEvent, deadLetters: readonly DeadLetterHead[]): string[] {
  return deadLetters
    .filter((head) => head.state === 'dead' && !isLoss(head))
    .filter(({ eventOrder }) => eventOrder === null || compareOrder(eventOrder, prepared.order) < 0)
    .map(({ eventHash }) => eventHash);
}
