import type { Logger } from 'pino';
import type { ErrorCode, WorkerError } from '../src/errors.js';
import type { RecordSink } from '../src/transport.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import type { BatchReport } from './batches.js';
import type { FailingPartition } from './failures.js';
import type { ReadRange } from './partition-run.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { RecordsBelow, TopicPartition } from '../src/kafka/partitions.js';

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
  readonly onPause?: (event: TopicPartition & { code: ErrorCode; delayMs: number }) => void;
  readonly onResume?: (event: TopicPartition) => void;
  /** Between attempts of a failing partition; 100 to 30,000 ms by default. */
  readonly backoff?: BackoffOptions;
  /** Reads a part of the topics, by positions of the caller's own: no group's offsets are read or written. */
  readonly range?: ReadRange;
  /** How long the broker may answer without this consumer getting into its group: at least; 60,000 by default. See {@link joinTimeoutOf}. */
  readonly joinTimeoutMs?: number;
}

/** For readiness: joined, and no partition failing. */
export interface SourceConsumerState {
  readonly joined: boolean;
  readonly partitions: readonly TopicPartition[];
  readonly failing: readonly FailingPartition[];
}

export interface SourceConsumer {
  /** Begins to connect and returns. A broker that is not there yet is waited for. */
  start(): void;
  state(): SourceConsumerState;
  /** Reads a partition again from there, and says so to the group; false: not done, or the partition is not ours. */
  rewind(to: RecordsBelow): Promise<boolean>;
  /**
   * Takes nothing new, lets what is under way finish for up to `graceMs`, tells the rest to abort, commits what is
   * finished and leaves the group. Takes a few seconds longer than `graceMs` at most and does not reject.
   */
  stop(graceMs: number): Promise<void>;
}
