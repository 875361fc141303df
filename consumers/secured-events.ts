import type { EachBatchPayload } from 'kafkajs';
import type { Logger } from 'pino';
import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { SourceRecord } from '../src/terms.js';
import { GroupMember } from './group-member.js';
import { OffsetCommits, Progress } from './progress.js';
import { toSourceRecord } from './records.js';

interface ReadRecord {
  readonly record: SourceRecord;
  readonly origin: string;
  /** It existed when we got the partition. */
  readonly isBacklog: boolean;
  /** To be called once, when the record is handled. */
  readonly done: () => void;
}

interface SecuredConsumerOptions {
  readonly settings: KafkaSettings;
  readonly topic: string;
  /** Takes a record and returns at once. It calls `done` when the record is handled, which may be much later. */
  readonly onRecord: (given: ReadRecord) => void;
  /**
   * Whether the records that exist when we get a partition are read to their end first, whatever `maxOpen` says. Then
   * `onEnd` is called.
   */
  readonly toTheEndFirst: boolean;
  readonly onEnd: (origin: string) => void;
  /** Another member of the group has this partition now. */
  readonly onLost: (origin: string) => void;
  /** A partition with this many unhandled records is not read further. */
  readonly maxOpen: number;
  readonly logger: Logger;
}

export interface SecuredConsumerState {
  /** Whether this is a member of the group and reads. */
  readonly joined: boolean;
  readonly partitions: readonly TopicPartition[];
  /** Kafka's name of the last error; null while it reads. */
  readonly lastError: string | null;
}

/** The last offsets may have no record (transaction markers). After this long without a record the end is reached. */
const END_QUIET_MS = 3_000;

/**
 * Reads `connection.secured` for the ingestion library, as a member of a consumer group. Unlike the worker's own consumer
 * it reads on while records are being handled: one connection that cannot be handled delays no other. It commits an
 * offset only when every record before it is handled. It runs until {@link leave}.
 */
export class SecuredConsumer {
  readonly #options: SecuredConsumerOptions;
  readonly #member: GroupMember;
  readonly #commits: OffsetCommits;
  #progress = new Map<PartitionKey, Progress>();
  readonly #paused = new Map<PartitionKey, TopicPartition>();
  #halted = false;

  /** @throws ConfigurationError UNSAFE_DEBUG_FLAG */
  constructor(options: SecuredConsumerOptions) {
    this.#options = options;
    const { settings, topic, logger } = options;
    this.#member = new GroupMember({
      ...{ settings, topics: [topic], logger },
      eachBatch: async (payload) => this.#read(payload),
      onJoined: () => this.#joined(),
      // A library must not end the process: it joins again.
      onFatal: ({ code, message }) => {
        logger.warn({ code, reason: message }, 'joining the group again');
        void this.#member.rejoin();
      },
    });
    this.#commits = new OffsetCommits({
      owned: () =>
        [...this.#progress].flatMap(([origin, progress]) => (this.#owns(origin) ? [progress] : [])),
      commit: (offsets) => this.#member.consumer?.commitOffsets(offsets) ?? null,
      logger,
    });
  }

  start(): void {
    this.#member.start();
  }

  state(): SecuredConsumerState {
    const { alive, lastError, membership } = this.#member;
    return { joined: alive, partitions: membership.partitions, lastError: alive ? null : lastError };
  }

  /** Stops reading. Heartbeats go on until {@link leave}. */
  halt(): void {
    this.#halted = true;
    this.#member.halt();
  }

  /** Commits what is handled and leaves the group. */
  async leave(): Promise<void> {
    await this.#commits.close();
    await this.#member.leave();
  }

  /** After a join kafkajs reads every partition from its committed offset. */
  #joined(): void {
    const before = [...this.#progress.keys()];
    this.#progress = new Map();
    for (const origin of before) {
      if (!this.#owns(origin)) this.#options.onLost(origin);
    }
    for (const [origin, partition] of [...this.#paused]) {
      if (this.#owns(origin)) this.#resume(origin, partition);
      else this.#paused.delete(origin);
    }
  }

  /** Awaits nothing: kafkajs fetches again when the handlers of all partitions have returned. */
  #read(payload: EachBatchPayload): void {
    const { topic, partition, messages } = payload.batch;
    const origin = partitionKey(topic, partition);
    const first = messages[0];
    if (first === undefined || payload.isStale() || !this.#owns(origin)) return;
    if (this.#halted) {
      this.#pause({ topic, partition });
      return;
    }
    const progress = this.#progress.get(origin) ?? new Progress(topic, partition, Number(first.offset));
    if (!this.#progress.has(origin) && this.#options.toTheEndFirst)
      progress.backlogEnd = Number(payload.batch.highWatermark);
    this.#progress.set(origin, progress);
    for (const message of messages) {
      if (progress.open >= this.#options.maxOpen && !progress.isInBacklog) {
        this.#pause({ topic, partition });
        return;
      }
      const record = toSourceRecord(topic, partition, message);
      payload.resolveOffset(message.offset);
      if (progress.isRead(record.offset)) continue;
      const isBacklog = progress.isInBacklog;
      const done = progress.begin(record.offset, () => {
        this.#changed(origin, progress);
      });
      this.#options.onRecord({ record, origin, isBacklog, done });
      if (isBacklog && !progress.isInBacklog) this.#options.onEnd(origin);
    }
    progress.end(Number(payload.batch.lastOffset()) + 1);
    if (progress.isInBacklog) this.#endWhenQuiet(origin, progress);
    payload.resolveOffset(payload.batch.lastOffset());
    this.#commits.schedule();
  }

  #endWhenQuiet(origin: PartitionKey, progress: Progress): void {
    const { lastRead } = progress;
    setTimeout(() => {
      if (this.#progress.get(origin) !== progress || this.#halted) return;
      if (!progress.isInBacklog || progress.lastRead !== lastRead) return;
      progress.backlogEnd = null;
      this.#options.onEnd(origin);
    }, END_QUIET_MS).unref();
  }

  #changed(origin: PartitionKey, progress: Progress): void {
    if (this.#progress.get(origin) !== progress) return;
    const paused = this.#paused.get(origin);
    const hasRoom = progress.open <= this.#options.maxOpen / 2;
    if (paused !== undefined && hasRoom && !this.#halted) this.#resume(origin, paused);
    this.#commits.schedule();
  }

  #pause(partition: TopicPartition): void {
    this.#paused.set(partitionKey(partition.topic, partition.partition), partition);
    this.#member.pause(partition);
  }

  #resume(origin: PartitionKey, partition: TopicPartition): void {
    this.#paused.delete(origin);
    this.#member.resume(partition);
  }

  #owns(origin: PartitionKey): boolean {
    return this.#member.membership.owns(origin);
  }
}
