import type { EachBatchHandler } from 'kafkajs';
import type { Logger } from 'pino';
import type { ErrorCode, WorkerError } from '../src/errors.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName, fatalError, withoutText } from '../src/kafka/errors.js';
import { partitionKey } from '../src/kafka/partitions.js';
import type { RecordsBelow, TopicPartition } from '../src/kafka/partitions.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { RecordSink } from '../src/transport.js';
import { Batches } from './batches.js';
import type { BatchReport } from './batches.js';
import { PartitionFailures } from './failures.js';
import type { FailingPartition } from './failures.js';
import { GroupMember } from './group-member.js';
import { WakeUp, Limit } from './limit.js';
import type { PartitionRun, ReadRange } from './partition-run.js';
import { PausedPartitions } from './paused-partitions.js';

export interface SourceConsumerOptions {
  readonly settings: KafkaSettings;
  readonly topics: readonly string[];
  readonly handler: RecordSink;
  /** How many records may be with the handler at once, over all partitions. */
  readonly concurrency: number;
  readonly logger: Logger;
  /** Called once: this consumer cannot go on, the process is to end. */
  readonly onFatal: (error: WorkerError) => void;
  /** After each joining of the group: what this process has now. */
  readonly onAssignment?: (partitions: readonly TopicPartition[]) => void;
  readonly onBatch?: (report: BatchReport) => void;
  /** Records were deleted before this consumer came to them: it reads on behind them. */
  readonly onOutOfRange?: (of: TopicPartition) => void;
  /** What has to be done before an offset of this partition is committed. A `transient` rejection: it is tried again. */
  readonly beforeCommit?: (of: TopicPartition) => Promise<void>;
  readonly onPause?: (event: TopicPartition & { code: ErrorCode; delayMs: number }) => void;
  readonly onResume?: (event: TopicPartition) => void;
  /** Between attempts of a failing partition; 100 to 30,000 ms by default. */
  readonly backoff?: BackoffOptions;
  /** Reads a part of the topics, by positions of the caller's own: no group's offsets are read or written. */
  readonly range?: ReadRange;
  /** As in {@link GroupMember}'s options. */
  readonly joinTimeoutMs?: number;
}

/** For readiness: joined, and no partition failing. */
export interface SourceConsumerState {
  readonly joined: boolean;
  readonly partitions: readonly TopicPartition[];
  readonly failing: readonly FailingPartition[];
}

const ABORT_MS = 1_000;

/**
 * `connection.created`, `connection.updated` and `connection.deleted` → one handler. The event itself says what it means
 * (its `eventType`), so all three topics go the same way, and may be one topic. With a `range` a part of them is read
 * again.
 */
export class SourceConsumer {
  readonly #options: SourceConsumerOptions;
  readonly #member: GroupMember;
  readonly #failures: PartitionFailures;
  readonly #paused: PausedPartitions;
  readonly #batches: Batches;
  readonly #wakeUp = new WakeUp();
  #stopped = false;
  #fatal = false;

  constructor(options: SourceConsumerOptions) {
    this.#options = options;
    const { settings, topics, logger, handler, concurrency, range, backoff, joinTimeoutMs } = options;
    const onFatal = (error: WorkerError): void => this.#end(error);
    const onBatch = this.#guarded(options.onBatch);
    const eachBatch: EachBatchHandler = (payload) => this.#batches.handle(payload);
    this.#member = new GroupMember({
      ...{ settings, topics, logger, eachBatch, onFatal, onOutOfRange: options.onOutOfRange },
      ...(joinTimeoutMs === undefined ? {} : { joinTimeoutMs }),
      onJoined: () => this.#joined(),
      onEmptyBatch: ({ topic, partition, highWatermark, lastOffset }) => {
        const last = Number(lastOffset);
        range?.advance({ topic, partition }, last + 1);
        onBatch({ topic, partition, highWatermark: Number(highWatermark), lastOffset: last });
      },
    });
    this.#failures = new PartitionFailures(logger, backoff);
    const shared = {
      control: this.#member,
      membership: this.#member.membership,
      failures: this.#failures,
      halted: (): boolean => this.#halted,
    };
    this.#paused = new PausedPartitions({
      ...{ ...shared, wakeUp: this.#wakeUp, logger, onFatal },
      onPause: this.#guarded(options.onPause),
      onResume: this.#guarded(options.onResume),
    });
    const { beforeCommit } = options;
    const run = {
      handler,
      limit: new Limit(concurrency),
      wakeUp: this.#wakeUp,
      range,
      beforeCommit,
      onFatal,
    };
    this.#batches = new Batches({ ...shared, run, paused: this.#paused, onBatch });
  }

  /** Begins to connect and returns. A broker that is not there yet is waited for. */
  start(): void {
    this.#member.start();
  }

  state(): SourceConsumerState {
    const { alive, membership } = this.#member;
    return { joined: alive, partitions: membership.partitions, failing: this.#failures.list() };
  }

  /** Reads a partition again from there, and says so to the group; false: not done, or the partition is not ours. */
  async rewind({ topic, partition, offset }: RecordsBelow): Promise<boolean> {
    const key = partitionKey(topic, partition);
    const { consumer, membership } = this.#member;
    if (consumer === null || this.#halted || !membership.owns(key)) return false;
    this.#batches.drop(key);
    this.#paused.drop(key);
    this.#failures.forget(key);
    const to = { topic, partition, offset: String(offset) };
    try {
      consumer.seek(to);
      // The next owner of the partition must begin there too, even if this process ends before its next commit.
      await consumer.commitOffsets([to]);
      return true;
    } catch (error) {
      // It is starting anew, or loses its partitions: the next look finds the same, here or at another member.
      const fields = { topic, partition, offset, error: brokerErrorName(error) };
      this.#options.logger.warn(fields, 'a partition could not be read from its beginning yet');
      return false;
    }
  }

  /**
   * Takes nothing new, lets what is under way finish for up to `graceMs`, tells the rest to abort, commits what is
   * finished and leaves the group. Takes a few seconds longer than `graceMs` at most and does not reject.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#halt();
    const runs = (): PartitionRun[] => [...this.#batches.runs(), ...this.#paused.runs()];
    await this.#settled(runs, graceMs);
    const late = runs().filter((run) => run.inFlight > 0);
    // What is finished is committed before the rest is told to stop: an aborted run commits nothing.
    await Promise.allSettled(runs().map(async (run) => withDeadline(this.#paused.commit(run), ABORT_MS)));
    for (const run of late) run.abort();
    await this.#settled(runs, ABORT_MS);
    await this.#member.leave();
  }

  get #halted(): boolean {
    return this.#stopped || this.#fatal;
  }

  /** Nothing new is begun. */
  #halt(): void {
    this.#paused.freeze();
    this.#member.halt();
    this.#wakeUp.wake();
  }

  #end(error: WorkerError): void {
    if (this.#fatal) return;
    this.#fatal = true;
    this.#halt();
    if (!this.#stopped) this.#options.onFatal(error);
  }

  async #settled(runs: () => readonly PartitionRun[], ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (runs().some((run) => run.inFlight > 0) && performance.now() < until) {
      await this.#wakeUp.wait(Math.min(100, until - performance.now()));
    }
  }

  #joined(): void {
    const { membership } = this.#member;
    for (const { topic, partition } of this.#failures.list()) {
      const key = partitionKey(topic, partition);
      if (!membership.owns(key)) this.#failures.forget(key);
    }
    this.#seekInRange();
    this.#batches.reassigned();
    this.#paused.reassigned();
    this.#guarded(this.#options.onAssignment)(membership.partitions);
  }

  /** A range's positions are the caller's: kafkajs would begin where the group's offsets are, or at the beginning. */
  #seekInRange(): void {
    const { range } = this.#options;
    if (range === undefined) return;
    for (const at of this.#member.membership.partitions) {
      const position = range.position(at);
      this.#member.seek(at, position);
      if (position >= range.end(at)) this.#member.pause(at);
    }
  }

  /** What a caller's hook throws is a defect, and must not go off inside of kafkajs. */
  #guarded<T>(hook: ((event: T) => void) | undefined): (event: T) => void {
    return (event) => {
      try {
        hook?.(event);
      } catch (error) {
        this.#end(fatalError(withoutText(error)));
      }
    };
  }
}
