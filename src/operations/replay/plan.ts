import { ConfigurationError } from '../../errors.js';
import type { Kind } from '../../terms.js';
import type { PartitionPosition } from './positions.js';
import type { OffsetRange } from '../../kafka/partitions.js';

/** Where a replay begins, in every chosen partition. */
export type ReplayStart =
  | { readonly kind: 'beginning' }
  | { readonly kind: 'offset'; readonly offset: number }
  /** Milliseconds since the epoch, by the records' own time. */
  | { readonly kind: 'time'; readonly timeMs: number };

/** What is read again; null: all. */
export interface ReplaySelection {
  readonly topics: readonly string[] | null;
  readonly partitions: readonly number[] | null;
  readonly connectionIds: readonly string[] | null;
  readonly kinds: readonly Kind[] | null;
}

/** Everything of a replay that does not change while it runs. */
export interface ReplayPlan {
  readonly start: ReplayStart;
  readonly selection: ReplaySelection;
  /** Consumer group to read with; null: a new one for each run. */
  readonly group: string | null;
}

/**
 * The topics to read: all of ours, or those chosen of them.
 * @throws ConfigurationError USAGE_INVALID for a topic that is no source topic
 */
export function chosenTopics(sources: readonly string[], { topics }: ReplaySelection): readonly string[] {
  const strange = topics?.filter((topic) => !sources.includes(topic)) ?? [];
  if (strange.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--topic: ${strange.join(', ')} is no source topic; they are ${[...new Set(sources)].join(', ')}`,
    );
  return [...new Set(topics ?? sources)];
}

/**
 * From where to where each chosen partition is read: what has been deleted is not waited for, and what comes after this
 * moment is the workers' own.
 * @throws ConfigurationError USAGE_INVALID for a partition that no chosen topic has
 */
export function planPositions(
  ranges: readonly OffsetRange[],
  { start, selection: { partitions } }: Pick<ReplayPlan, 'start' | 'selection'>,
): PartitionPosition[] {
  const strange = partitions?.filter((number) => !ranges.some(({ partition }) => partition === number)) ?? [];
  if (strange.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--partition: no chosen topic has partition ${strange.join(', ')}`,
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
