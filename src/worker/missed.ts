import type { PartitionFacts } from '../kafka/partitions.js';

/** The offset of the first record of a given time, as the broker has answered once. */
interface Checkpoint {
  readonly atMs: number;
  /** If there was no such record, the offset of the next one. */
  readonly first: number;
}

/** Records that are appended later have this offset or a higher one. */
export function checkpointOf(
  { high, fromTimes }: Pick<PartitionFacts, 'high' | 'fromTimes'>,
  atMs: number,
): Checkpoint {
  return { atMs, first: Math.min(fromTimes.get(atMs) ?? high, high) };
}

/** Records that the group has skipped; `to` is exclusive. */
export interface Missed {
  readonly reason: 'expired' | 'recreated';
  readonly from: number;
  readonly to: number;
}

/**
 * Finds the records of a partition that the group has missed; null if there are none.
 *
 * A log only grows at its end: the first record of a given time has the same offset until it is deleted. So if the broker
 * now answers with a lower offset, or if the committed offset is behind the end, this is another log under the same name:
 * the topic was deleted and created again, or the log lost its end.
 */
export function findMissed(
  { low, high, committed, fromTimes }: Omit<PartitionFacts, 'topic' | 'partition'>,
  before: Checkpoint | null,
): Missed | null {
  const first = before === null ? undefined : fromTimes.get(before.atMs);
  const isOtherLog = before !== null && first !== undefined && first < before.first;
  const isBehindEnd = committed !== null && committed > high;
  if (isOtherLog || isBehindEnd) {
    const passed = Math.min(Math.max(committed ?? low, before?.first ?? 0), high);
    return { reason: 'recreated', from: low, to: Math.max(low, passed) };
  }
  if (committed !== null && committed < low) return { reason: 'expired', from: committed, to: low };
  return null;
}
