import { SourceConsumer } from '../../../consumers/source-events.js';
import type { SourceTopics } from '../../events/decode.js';
import { ConfigurationError, WorkerError } from '../../errors.js';
import { pause } from '../../pause.js';
import type { KafkaSettings } from '../../kafka/settings.js';
import type { Logger } from '../../observability/index.js';
import type { RecordSink } from '../../transport.js';
import type { Progress } from '../progress.js';
import { SelectedRecords } from './filter.js';
import type { ReplaySelection } from './plan.js';
import type { ReplayPositions } from './positions.js';
import { readOffsetRanges } from '../../kafka/partitions.js';
import type { OffsetRange, TopicPartition } from '../../kafka/partitions.js';

export interface ReadAgainOptions {
  /** Includes the consumer group to read with. */
  readonly settings: KafkaSettings;
  readonly topics: SourceTopics;
  readonly selection: ReplaySelection;
  readonly positions: ReplayPositions;
  readonly handler: RecordSink;
  readonly concurrency: number;
  readonly logger: Logger;
  readonly onSkipped: () => void;
  /** Called at the end with the number of records of a partition that Kafka deleted before they were read. */
  readonly onDeleted: (of: TopicPartition, count: number) => void;
  /** Called from time to time, and at the end, to make the positions durable. */
  readonly onPositions: () => Promise<void>;
  readonly progress: Progress;
  /** How long records under way may take after a stop, milliseconds. */
  readonly graceMs: number;
  readonly signal: AbortSignal;
}

const LOOK_MS = 100;
const SAVE_MS = 2_000;
/** If a partition does not move on for this long, we ask Kafka whether it still has the records. */
const STALLED_MS = 5_000;

/**
 * Reads the selected records again until every partition is at its end, or the signal aborts. The positions are durable
 * when it resolves or rejects.
 * @throws WorkerError if it cannot go on
 */
export async function readAgain(options: ReadAgainOptions): Promise<void> {
  if (options.positions.isDone) return;
  const run = new Reading(options);
  try {
    await run.untilEnd();
  } finally {
    await run.stop();
  }
}

class Reading {
  readonly #options: ReadAgainOptions;
  readonly #records: SelectedRecords;
  readonly #consumer: SourceConsumer;
  #fatal: WorkerError | null = null;

  constructor(options: ReadAgainOptions) {
    this.#options = options;
    const { settings, positions, handler, selection, topics, concurrency, logger, onSkipped } = options;
    this.#records = new SelectedRecords({ inner: handler, selection, topics, onSkipped });
    this.#consumer = new SourceConsumer({
      topics: [...new Set(positions.list().map(({ topic }) => topic))],
      range: positions,
      settings,
      handler: this.#records,
      concurrency,
      logger,
      onFatal: (error) => (this.#fatal ??= error),
      onAssignment: (partitions) => this.#requireAll(partitions),
    });
  }

  async untilEnd(): Promise<void> {
    const { positions, signal, onPositions } = this.#options;
    this.#report();
    this.#consumer.start();
    let savedAtMs = performance.now();
    let askedAtMs = performance.now();
    while (!positions.isDone && !signal.aborted) {
      await pause(LOOK_MS, signal);
      if (this.#fatal !== null) throw this.#fatal;
      this.#report();
      if (performance.now() - savedAtMs > SAVE_MS) {
        await onPositions();
        savedAtMs = performance.now();
      }
      if (performance.now() - askedAtMs > STALLED_MS) {
        await this.#lookForDeleted();
        askedAtMs = performance.now();
      }
    }
    await this.#tellDeleted();
  }

  /** Reports the records that Kafka deleted. Waits for the broker if need be, because a later run would not see the gaps. */
  async #tellDeleted(): Promise<void> {
    const { positions, signal, onDeleted } = this.#options;
    let ranges: readonly OffsetRange[] = [];
    while (positions.hasGaps && ranges.length === 0 && !signal.aborted) {
      ranges = await this.#ranges();
      if (ranges.length === 0) await pause(STALLED_MS, signal);
    }
    for (const range of ranges) {
      const count = positions.deleted(range);
      if (count > 0) onDeleted(range, count);
    }
  }

  async stop(): Promise<void> {
    await this.#consumer.stop(this.#options.graceMs);
    this.#report();
    await this.#options.onPositions();
  }

  #report(): void {
    const { positions, progress } = this.#options;
    progress.report({ done: positions.done, total: positions.total, failed: 0 });
  }

  /** Refuses other members of the group: they would take partitions away, and this replay would never finish. */
  #requireAll(partitions: readonly TopicPartition[]): void {
    const { positions, settings } = this.#options;
    const isOurs = (open: TopicPartition): boolean =>
      partitions.some(({ topic, partition }) => topic === open.topic && partition === open.partition);
    if (positions.open().every(isOurs)) return;
    this.#fatal ??= new ConfigurationError(
      'USAGE_INVALID',
      `another process reads with the consumer group ${settings.groupId}: give the replay a group of its own`,
    );
  }

  /** The offset ranges of all partitions; empty if the broker does not answer. */
  async #ranges(): Promise<readonly OffsetRange[]> {
    const { positions, settings, logger } = this.#options;
    const topics = [...new Set(positions.list().map(({ topic }) => topic))];
    return readOffsetRanges(settings, topics, logger).catch((error: unknown) => {
      if (error instanceof WorkerError && error.retryable) return [];
      throw error;
    });
  }

  /** Moves stalled partitions past records that Kafka has deleted. Leaves those whose records are under way or failing. */
  async #lookForDeleted(): Promise<void> {
    const { positions } = this.#options;
    const failing = this.#consumer.state().failing;
    const stalled = positions.stalled(STALLED_MS).filter((partition) => !this.#records.isBusy(partition));
    if (stalled.length === 0) return;
    for (const range of await this.#ranges()) {
      const isOf = (one: TopicPartition): boolean =>
        one.topic === range.topic && one.partition === range.partition;
      const isHeld = failing.some((one) => isOf(one) && one.offset >= range.low);
      if (stalled.some(isOf) && !isHeld && !this.#records.isBusy(range)) positions.withoutDeleted(range);
    }
  }
}
