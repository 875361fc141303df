import type { ReadRange } from '../../../consumers/partition-run.js';
import type { OffsetRange, TopicPartition } from '../../kafka/partitions.js';

/** How far one partition is read. Everything before `position` is finished, and nothing from `end` on is read. */
export interface PartitionPosition extends TopicPartition {
  readonly from: number;
  readonly position: number;
  readonly end: number;
}

/** How far a replay is in each partition. */
export class ReplayPositions implements ReadRange {
  readonly #partitions = new Map<string, PartitionPosition>();
  /** When each partition last moved on, by the monotonic clock. */
  readonly #movedAtMs = new Map<string, number>();
  /** Offsets that were skipped, by partition and first offset: if the record behind a gap comes again, so does the gap. */
  readonly #gaps = new Map<string, TopicPartition & { readonly from: number; readonly to: number }>();
  readonly #clock: () => number;

  constructor(partitions: readonly PartitionPosition[], clock: () => number = () => performance.now()) {
    this.#clock = clock;
    for (const partition of partitions) {
      this.#partitions.set(keyOf(partition), partition);
      this.#movedAtMs.set(keyOf(partition), clock());
    }
  }

  list(): readonly PartitionPosition[] {
    return [...this.#partitions.values()];
  }

  /** The partitions that are not at their end. */
  open(): readonly PartitionPosition[] {
    return this.list().filter(({ position, end }) => position < end);
  }

  get isDone(): boolean {
    return this.open().length === 0;
  }

  /** How many offsets there are from start to end. There are fewer records if the topic has gaps. */
  get total(): number {
    return this.list().reduce((sum, { from, end }) => sum + end - from, 0);
  }

  get done(): number {
    return this.list().reduce((sum, { from, position }) => sum + position - from, 0);
  }

  position(of: TopicPartition): number {
    return this.#partitions.get(keyOf(of))?.position ?? 0;
  }

  end(of: TopicPartition): number {
    return this.#partitions.get(keyOf(of))?.end ?? 0;
  }

  advance(of: TopicPartition, position: number): void {
    const known = this.#partitions.get(keyOf(of));
    if (known === undefined || position <= known.position) return;
    this.#partitions.set(keyOf(of), { ...known, position: Math.min(position, known.end) });
    this.#movedAtMs.set(keyOf(of), this.#clock());
  }

  /** Open partitions that have not moved on for this long, milliseconds. */
  stalled(forMs: number): readonly PartitionPosition[] {
    const since = this.#clock() - forMs;
    return this.open().filter((partition) => (this.#movedAtMs.get(keyOf(partition)) ?? 0) <= since);
  }

  skipTo(of: TopicPartition, offset: number): void {
    const known = this.#partitions.get(keyOf(of));
    if (known === undefined) return;
    const to = Math.min(offset, known.end);
    const from = known.position;
    if (to > from) this.#gaps.set(`${keyOf(of)}|${from}`, { ...of, from, to });
  }

  /** Moves past records that Kafka no longer has: they were deleted, or the topic was made anew. */
  withoutDeleted({ topic, partition, low, high }: OffsetRange): void {
    const known = this.#partitions.get(keyOf({ topic, partition }));
    if (known === undefined) return;
    this.skipTo(known, Math.max(low, known.end > high ? known.end : 0));
    const end = Math.max(known.from, Math.min(known.end, high));
    const position = Math.min(end, Math.max(known.position, low));
    this.#partitions.set(keyOf(known), { ...known, end, position });
  }

  /** Whether offsets were skipped: Kafka deleted their records, or they never had one. */
  get hasGaps(): boolean {
    return this.#gaps.size > 0;
  }

  /** How many of the skipped offsets Kafka no longer has. */
  deleted({ topic, partition, low, high }: OffsetRange): number {
    return [...this.#gaps.values()]
      .filter((gap) => gap.topic === topic && gap.partition === partition)
      .map(({ from, to }) => Math.max(0, Math.min(to, low) - from) + Math.max(0, to - Math.max(from, high)))
      .reduce((sum, count) => sum + count, 0);
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}|${partition}`;
}
