import type { ReadRange } from '../../../consumers/partition-run.js';
import type { OffsetRange, TopicPartition } from '../../kafka/partitions.js';

/** How far one partition is read: everything before `position` is finished, nothing is read from `end` on. */
export interface PartitionPosition extends TopicPartition {
  readonly from: number;
  readonly position: number;
  readonly end: number;
}

/** Where a replay stands, partition by partition. */
export class ReplayPositions implements ReadRange {
  readonly #partitions = new Map<string, PartitionPosition>();
  /** When a partition last got on, by the monotonic clock. */
  readonly #movedAtMs = new Map<string, number>();
  /** By the offset that they begin at: a record behind one can come again. */
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

  /** Those that are not at their end. */
  open(): readonly PartitionPosition[] {
    return this.list().filter(({ position, end }) => position < end);
  }

  get isDone(): boolean {
    return this.open().length === 0;
  }

  /** Offsets between start and end: as many records at most, gaps among them. */
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

  /** Open partitions that have not got on for this long, milliseconds. */
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

  /** Goes past records that are no longer there: deleted, or cut off with their topic. */
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

  /** Of the skipped offsets, those that these ranges do not have any more. */
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
