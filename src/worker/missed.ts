import type { PartitionFacts } from '../kafka/partitions.js';

/** Where the first record of a time was, when it was asked for. */
interface Checkpoint {
  readonly atMs: number;
  /** Its offset, or the one that it would have got. */
  readonly first: number;
}

/** Whatever is appended from then on lies behind its offset. */
export function checkpointOf(
  { high, fromTimes }: Pick<PartitionFacts, 'high' | 'fromTimes'>,
  atMs: number,
): Checkpoint {
  return { atMs, first: Math.min(fromTimes.get(atMs) ?? high, high) };
}

/** Records that a group has passed over, `to` not included. */
export interface Missed {
  readonly reason: 'expired' | 'recreated';
  readonly from: number;
  readonly to: number;
}

/**
 * Whether the group has missed records of a partition; null: no.
 *
 * A log only grows at its end: the first record of a time stays where it is, or goes. So an answer that lies before an
 * earlier one, like a committed offset behind the end, comes from another log under the same name: a topic that was
 * deleted and made again, or one that lost its end.
 */
export function findMissed(
  { low, high, committed, fromTimes }: Omit<PartitionFacts, 'topic' | 'partition'>,
  before: Checkpoint | null,
): Missed | null {
  const first = before === null ? undefined : fromTimes.get(before.atMs);
  const isOther = before !== null && first !== undefined && first < before.first;
  const isBehindEnd = committed !== null && committed > high;
  if (isOther || isBehindEnd) {
    const passed = Math.min(Math.max(committed ?? low, before?.first ?? 0), high);
    return { reason: 'recreated', from: low, to: Math.max(low, passed) };
  }
  if (committed !== null && committed < low) return { reason: 'expired', from: committed, to: low };
  return null;
}
