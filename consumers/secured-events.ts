import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { backoffMs } from '../src/kafka/backoff.js';
import { createGroupClient } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import { toConsumerConfig } from './group-member.js';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName, isCoordinatorStarting } from '../src/kafka/errors.js';
import { joinTimeoutOf, JoinWatch } from './join-watch.js';
import { Membership } from './membership.js';
import { probe } from '../src/kafka/ping.js';
import { toSourceRecord } from './records.js';
import { refuseUnsafeFlags } from '../src/kafka/settings.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { SourceRecord } from '../src/terms.js';
import { OffsetCommits } from './offset-commits.js';
import { Progress } from './progress.js';
import type { TopicPartition } from '../src/kafka/partitions.js';

type Consumer = ReturnType<KafkaClient['kafka']['consumer']>;
type BatchHandler = NonNullable<NonNullable<Parameters<Consumer['run']>[0]>['eachBatch']>;
type Batch = Parameters<BatchHandler>[0];

export interface ReadRecord {
  readonly record: SourceRecord;
  readonly origin: string;
  /** It was there when the partition came to us. */
  readonly isBacklog: boolean;
  /** To be called once, when the record is dealt with. */
  readonly done: () => void;
}

export interface GroupReaderOptions {
  readonly settings: KafkaSettings;
  readonly topic: string;
  /** Takes a record and returns; `done` is to be called when it is dealt with, which may be much later. */
  readonly onRecord: (given: ReadRecord) => void;
  /**
   * Whether what lies behind the group when it gets a partition is read to its end, without regard to `maxOpen`, before
   * {@link GroupReaderOptions.onEnd} tells so.
   */
  readonly toTheEndFirst: boolean;
  readonly onEnd: (origin: string) => void;
  /** What came from there belongs to another member of the group now. */
  readonly onLost: (origin: string) => void;
  /** So many records of one partition may be open before it is read no further. */
  readonly maxOpen: number;
  readonly logger: Logger;
}

export interface GroupReaderState {
  /** A member of the group, and reading. */
  readonly joined: boolean;
  readonly partitions: readonly TopicPartition[];
  /** Kafka's name of what went wrong last; null once it works. */
  readonly lastError: string | null;
}

const PARTITIONS_AT_ONCE = 256;
const CONNECT_BACKOFF = { minMs: 500, maxMs: 15_000 };
const COORDINATOR_MS = 30_000;
const DISCONNECT_MS = 5_000;
const JOIN_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 5_000;
/** What lies at the end of a partition may be no record (a transaction's marker): after so long without one it is the end. */
const END_QUIET_MS = 3_000;

/**
 * Reads a topic as a member of a consumer group. Unlike the worker's own consumer it reads on while records are still
 * being handled, so that one connection that cannot be handled holds up no other; committed is only what everything
 * before is dealt with. An unreachable broker is waited for.
 */
export class GroupReader {
  readonly #options: GroupReaderOptions;
  readonly #membership = new Membership();
  readonly #watch: JoinWatch;
  readonly #stopping = new AbortController();
  #progress = new Map<string, Progress>();
  readonly #paused = new Map<string, TopicPartition>();
  #line: { readonly client: KafkaClient; readonly consumer: Consumer } | null = null;
  readonly #commits: OffsetCommits;
  #lastError: string | null = null;
  #startingAtMs = -Infinity;
  #aliveAtMs = 0;
  /** Which run of {@link #connect} counts: an earlier one may hang inside of kafkajs and come back. */
  #connecting = 0;
  #connectedAtMs = 0;

  /** @throws ConfigurationError UNSAFE_DEBUG_FLAG */
  constructor(options: GroupReaderOptions) {
    this.#options = options;
    // eslint-disable-next-line no-restricted-properties -- kafkajs reads these flags from there, whatever is configured
    refuseUnsafeFlags(process.env);
    const { settings, logger } = options;
    this.#commits = new OffsetCommits({
      owned: () =>
        [...this.#progress].flatMap(([origin, progress]) => (this.#owns(origin) ? [progress] : [])),
      commit: (offsets) => this.#line?.consumer.commitOffsets(offsets) ?? null,
      logger,
    });
    this.#watch = new JoinWatch({
      joined: () => this.#alive,
      waiting: () => performance.now() - this.#startingAtMs < COORDINATOR_MS,
      lastError: () => this.#lastError,
      probe: async () => probe(settings, { logger, deadlineMs: settings.requestTimeoutMs }),
      timeoutMs: joinTimeoutOf(settings, JOIN_TIMEOUT_MS),
      intervalMs: WATCH_INTERVAL_MS,
      // A library does not end its process: the connection is made anew.
      onFatal: () => {
        if (performance.now() - this.#connectedAtMs > JOIN_TIMEOUT_MS) void this.#reconnect();
      },
    });
  }

  start(): void {
    this.#watch.start();
    void this.#connect();
  }

  state(): GroupReaderState {
    const { partitions } = this.#membership;
    return { joined: this.#alive, partitions, lastError: this.#alive ? null : this.#lastError };
  }

  /** Reads nothing more; heartbeats go on until {@link leave}. */
  halt(): void {
    this.#stopping.abort();
    this.#watch.stop();
    for (const partition of this.#membership.partitions) this.#pause(partition);
  }

  /** Commits what is done and leaves the group. */
  async leave(): Promise<void> {
    await this.#commits.close();
    await this.#discard();
  }

  /** kafkajs can hang in its own clean-up while it still counts as joined. */
  get #alive(): boolean {
    const silentMs = performance.now() - this.#aliveAtMs;
    return this.#membership.joined && silentMs < Math.max(30_000, this.#options.settings.sessionTimeoutMs);
  }

  get #halted(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #connect(): Promise<void> {
    this.#connecting += 1;
    this.#connectedAtMs = performance.now();
    const mine = this.#connecting;
    for (let attempt = 1; !this.#halted && mine === this.#connecting; attempt += 1) {
      try {
        await this.#run();
        return;
      } catch (error) {
        if (mine !== this.#connecting) return;
        this.#noteError(error);
        this.#options.logger.warn({ attempt, error: this.#lastError }, 'waiting for the broker');
        await this.#discard();
        const { signal } = this.#stopping;
        await sleep(backoffMs(attempt, CONNECT_BACKOFF), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #run(): Promise<void> {
    const { settings, logger, topic } = this.#options;
    const client = createGroupClient(settings, { logger });
    const consumer = client.kafka.consumer(toConsumerConfig(settings));
    this.#line = { client, consumer };
    this.#listen(consumer);
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    if (this.#halted) return;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: async (payload) => {
        this.#read(payload, consumer);
      },
    });
  }

  #listen(consumer: Consumer): void {
    const { GROUP_JOIN, REBALANCING, CRASH, FETCH, HEARTBEAT } = consumer.events;
    const alive = (): void => {
      this.#aliveAtMs = performance.now();
    };
    consumer.on(FETCH, alive);
    consumer.on(HEARTBEAT, alive);
    consumer.on(REBALANCING, () => {
      this.#membership.rejoining();
    });
    consumer.on(GROUP_JOIN, ({ payload }) => {
      alive();
      this.#joined(payload.memberAssignment);
    });
    consumer.on(CRASH, ({ payload }) => {
      if (consumer !== this.#line?.consumer) return;
      this.#noteError(payload.error);
      this.#options.logger.warn({ error: this.#lastError }, 'the consumer lost its group');
      if (payload.restart) this.#membership.leave();
      else void this.#reconnect();
    });
  }

  /** Before the first fetch under the new assignment. Every partition is read again from what is committed. */
  #joined(assignment: Readonly<Record<string, readonly number[]>>): void {
    const before = [...this.#progress.keys()];
    this.#membership.join(assignment);
    this.#progress = new Map();
    for (const origin of before) {
      if (!this.#owns(origin)) this.#options.onLost(origin);
    }
    for (const [origin, partition] of [...this.#paused]) {
      if (this.#owns(origin)) this.#resume(origin, partition);
      else this.#paused.delete(origin);
    }
    if (this.#halted) this.halt();
    this.#options.logger.info({ partitions: this.#membership.partitions.length }, 'joined the group');
  }

  /** Awaits nothing: kafkajs fetches again when all partitions' handlers have returned. */
  #read(payload: Batch, consumer: Consumer): void {
    const { topic, partition, messages } = payload.batch;
    const origin = originOf(topic, partition);
    const first = messages[0];
    if (first === undefined || payload.isStale() || consumer !== this.#line?.consumer || !this.#owns(origin))
      return;
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

  #endWhenQuiet(origin: string, progress: Progress): void {
    const { lastRead } = progress;
    setTimeout(() => {
      if (this.#progress.get(origin) !== progress || this.#halted) return;
      if (!progress.isInBacklog || progress.lastRead !== lastRead) return;
      progress.backlogEnd = null;
      this.#options.onEnd(origin);
    }, END_QUIET_MS).unref();
  }

  #changed(origin: string, progress: Progress): void {
    if (this.#progress.get(origin) !== progress) return;
    const paused = this.#paused.get(origin);
    const hasRoom = progress.open <= this.#options.maxOpen / 2;
    if (paused !== undefined && hasRoom && !this.#halted) this.#resume(origin, paused);
    this.#commits.schedule();
  }

  #pause(partition: TopicPartition): void {
    this.#paused.set(originOf(partition.topic, partition.partition), partition);
    this.#tell((consumer) => consumer.pause([{ topic: partition.topic, partitions: [partition.partition] }]));
  }

  #resume(origin: string, { topic, partition }: TopicPartition): void {
    this.#paused.delete(origin);
    this.#tell((consumer) => consumer.resume([{ topic, partitions: [partition] }]));
  }

  /** kafkajs throws while its consumer starts anew: it starts from what is committed then. */
  #tell(say: (consumer: Consumer) => void): void {
    try {
      if (this.#line !== null) say(this.#line.consumer);
    } catch (error) {
      this.#options.logger.debug({ error: brokerErrorName(error) }, 'the consumer is starting anew');
    }
  }

  async #reconnect(): Promise<void> {
    await this.#discard();
    await this.#connect();
  }

  async #discard(): Promise<void> {
    const line = this.#line;
    this.#line = null;
    this.#membership.leave();
    this.#paused.clear();
    if (line === null) return;
    await withDeadline(line.consumer.disconnect(), DISCONNECT_MS).catch(() => undefined);
    line.client.close();
  }

  #owns(origin: string): boolean {
    return this.#membership.owns(origin as `${string}|${number}`);
  }

  #noteError(error: unknown): void {
    this.#lastError = brokerErrorName(error);
    if (isCoordinatorStarting(error)) this.#startingAtMs = performance.now();
  }
}

function originOf(topic: string, partition: number): string {
  return `${topic}|${partition}`;
}
