import type { TopicPartition } from './membership.js';

/**
 * A part of each partition, read once by positions that the caller keeps. Nothing is committed: whoever reads so leaves
 * the offsets of every group as they are.
 */
export interface ReadRange {
  /** Where to read on: everything before this offset is finished. */
  position(of: TopicPartition): number;
  /** Records from this offset on are not read; 0: nothing of this partition is. */
  end(of: TopicPartition): number;
  /** The next record has this offset: Kafka has none between the position and it. */
  skipTo(of: TopicPartition, offset: number): void;
  /** Everything before `position` is finished; never goes back. */
  advance(of: TopicPartition, position: number): void;
}
