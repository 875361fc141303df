import { ConfigurationError } from '../../errors.js';
import type { Kind } from '../../terms.js';
import type { PartitionPosition } from './positions.js';
import type { OffsetRange } from '../../kafka/partitions.js';

/** Where a replay begins in each selected partition. */
export type ReplayStart =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'offset'; readonly offset: number }
  /** At the first record with this time or a later one, milliseconds since the epoch. */
  | { readonly kind: 'time'; readonly timeMs: number };

/** The records to read again; null: all of them. */
export interface ReplaySelection {
  readonly topics: readonly string[] | null;
  readonly partitions: readonly number[] | null;
  readonly connectionIds: readonly string[] | null;
  readonly kinds: readonly Kind[] | null;
}

/** The parts of a replay that do not change while it runs. */
export interface ReplayPlan {
  readonly start: ReplayStart;
  readonly selection: ReplaySelection;
  /** The consumer group to read with; null: a new one for each run. */
  readonly group: string | null;
}

/**
 * The topics to read: all source topics, or those that are selected.
 * @throws ConfigurationError USAGE_INVALID for a topic that is not a source topic
 */
export function chosenTopics(sources: readonly string[], { topics }: ReplaySelection): readonly string[] {
  const strange = topics?.filter((topic) => !sources.includes(topic)) ?? [];
  if (strange.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--topic: ${strange.join(', ')} is not a source topic; the source topics are ${[...new Set(sources)].join(', ')}`,
    );
  return [...new Set(topics ?? sources)];
}

/**
 * From where to where each selected partition is read. It begins at the first record that Kafka still has, and ends at the
 * present end: records that come later are for the workers.
 * @throws ConfigurationError USAGE_INVALID for a partition that no selected topic has
 */
export function planPositions(
  ranges: readonly OffsetRange[],
  { start, selection: { partitions } }: Pick<ReplayPlan, 'start' | 'selection'>,
): PartitionPosition[] {
  const strange = partitions?.filter((number) => !ranges.some(({ partition }) => partition === number)) ?? [];
  if (strange.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--partition: no selected topic has partition ${strange.join(', ')}`,
    );
  return ranges
    .filter(({ partition }) => partitions === null || partitions.includes(partition))
    .map((range) => {
      const { topic, partition, low, high } = range;
      const from = Math.min(high, Math.max(low, startOf(range, start)));
      return { topic, partition, from, position: from, end: high };
    });
}

function startOf({ low, high, fromTime }: OffsetRange, start: ReplayStart): number {
  switch (start.kind) {
    case 'beginning':
      return low;
    case 'offset':
      return start.offset;
    case 'time':
      return fromTime ?? high;
  }
}
