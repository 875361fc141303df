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
  /** How many records may be in flight at once, over all partitions. */
  readonly concurrency: number;
  readonly logger: Logger;
  /** Called once, when this consumer cannot go on: the process must end. */
  readonly onFatal: (error: WorkerError) => void;
  /** Called after each join, with the partitions of this process. */
  readonly onAssignment?: (partitions: readonly TopicPartition[]) => void;
  readonly onBatch?: (report: BatchReport) => void;
  /** Records were deleted before this consumer had read them: it reads on behind them. */
  readonly onOutOfRange?: (of: TopicPartition) => void;
  /** Awaited before each commit of this partition. After a `transient` rejection the commit is tried again. */
  readonly beforeCommit?: (of: TopicPartition) => Promise<void>;
  readonly onPause?: (event: TopicPartition & { code: ErrorCode; delayMs: number }) => void;
  readonly onResume?: (event: TopicPartition) => void;
  /** The back-off of a failing partition; 100 to 30,000 ms by default. */
  readonly backoff?: BackoffOptions;
  /** Reads only this part of the topics. No group's offsets are read or committed. */
  readonly range?: ReadRange;
  /** As in {@link GroupMember}'s options. */
  readonly joinTimeoutMs?: number;
}

/** For readiness: this process is ready if it has joined and no partition fails. */
export interface SourceConsumerState {
  readonly joined: boolean;
  readonly partitions: readonly TopicPartition[];
  readonly failing: readonly FailingPartition[];
}

const ABORT_MS = 1_000;

/**
 * Reads `connection.created`, `connection.updated` and `connection.deleted` and passes every record to one handler. They
 * may be one topic: an event's `eventType` says what it means. With a `range` it reads a part of the topics again.
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

  /** Begins to connect and returns. It waits for a broker that is not there yet. */
  start(): void {
    this.#member.start();
  }

  state(): SourceConsumerState {
    const { alive, membership } = this.#member;
    return { joined: alive, partitions: membership.partitions, failing: this.#failures.list() };
  }

  /**
   * Reads a partition again from an offset, and commits that offset for the group.
   * @returns false if the partition is not ours, or kafkajs could not do it now
   */
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
      // kafkajs restarts its consumer, or loses its partitions. The caller tries again, here or in another member.
      const fields = { topic, partition, offset, error: brokerErrorName(error) };
      this.#options.logger.warn(fields, 'a partition could not be set back yet');
      return false;
    }
  }

  /**
   * Begins no more records, waits up to `graceMs` for those in flight, commits what is finished, aborts the rest and
   * leaves the group. Takes at most a few seconds longer than `graceMs` and does not reject.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#halt();
    const runs = (): PartitionRun[] => [...this.#batches.runs(), ...this.#paused.runs()];
    await this.#settled(runs, graceMs);
    const late = runs().filter((run) => run.inFlight > 0);
    // Before the abort: an aborted run commits nothing.
    await Promise.allSettled(runs().map(async (run) => withDeadline(this.#paused.commit(run), ABORT_MS)));
    for (const run of late) run.abort();
    await this.#settled(runs, ABORT_MS);
    await this.#member.leave();
  }

  get #halted(): boolean {
    return this.#stopped || this.#fatal;
  }

  /** No record is begun after this. */
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

  /** A range has its own positions: kafkajs would begin at the group's offsets. */
  #seekInRange(): void {
    const { range } = this.#options;
    if (range === undefined) return;
    for (const at of this.#member.membership.partitions) {
      const position = range.position(at);
      this.#member.seek(at, position);
      if (position >= range.end(at)) this.#member.pause(at);
    }
  }

  /** A hook that throws is a defect: it ends this consumer, and must not throw inside kafkajs. */
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
