import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, ConsumerConfig, ConsumerEndBatchProcessEvent, EachBatchHandler } from 'kafkajs';
import type { Logger } from 'pino';
import type { WorkerError } from '../src/errors.js';
import { probe } from '../src/kafka/admin.js';
import { backoffMs } from '../src/kafka/backoff.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import { createGroupClient } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import { withDeadline } from '../src/kafka/deadline.js';
import {
  brokerErrorName,
  fatalError,
  isCoordinatorStarting,
  isWaitingForBroker,
} from '../src/kafka/errors.js';
import type { TopicPartition } from '../src/kafka/partitions.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import { joinTimeoutOf, JoinWatch } from './join-watch.js';
import { Membership } from './membership.js';

/** More than one process ever has: kafkajs reads this number once, at start, and assignments change later. */
const PARTITIONS_AT_ONCE = 256;
const MAX_WAIT_MS = 250;
const JOIN_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 5_000;
const CONNECT_BACKOFF: BackoffOptions = { minMs: 500, maxMs: 15_000 };
const CONNECT_LOG_EVERY_MS = 30_000;
/** kafkajs reports a starting coordinator only after its own retries, about every twelve seconds. */
const COORDINATOR_MS = 30_000;
const SILENT_MS = 30_000;
const DISCONNECT_MS = 5_000;

/** The configuration of kafkajs's consumer. */
export function toConsumerConfig(settings: KafkaSettings): ConsumerConfig {
  return {
    groupId: settings.groupId,
    sessionTimeout: settings.sessionTimeoutMs,
    rebalanceTimeout: Math.max(settings.rebalanceTimeoutMs, settings.sessionTimeoutMs),
    heartbeatInterval: Math.max(1, Math.min(3_000, Math.floor(settings.sessionTimeoutMs / 5))),
    maxWaitTimeInMs: MAX_WAIT_MS,
    allowAutoTopicCreation: false,
    retry: { retries: 5, initialRetryTime: 200, maxRetryTime: 5_000 },
  };
}

interface GroupMemberOptions {
  readonly settings: KafkaSettings;
  readonly topics: readonly string[];
  readonly logger: Logger;
  /** kafkajs calls this with each batch. It fetches again when the calls of all partitions have returned. */
  readonly eachBatch: EachBatchHandler;
  /** Called for a batch of transaction markers or compacted records only: kafkajs does not pass it to `eachBatch`. */
  readonly onEmptyBatch?: (batch: ConsumerEndBatchProcessEvent['payload']) => void;
  /** Called after each join, before the first fetch under the new assignment. */
  readonly onJoined: () => void;
  readonly onOutOfRange?: ((of: TopicPartition) => void) | undefined;
  /** Called when this member cannot go on by itself; again and again until it has joined or is halted. */
  readonly onFatal: (error: WorkerError) => void;
  /** The shortest join time-out, milliseconds; 60,000 by default. See {@link joinTimeoutOf}. */
  readonly joinTimeoutMs?: number;
}

/**
 * One member of a consumer group: connects, joins, notices when it gets stuck, reconnects, leaves. It waits for an
 * unreachable broker and for a group coordinator that is still starting. The caller handles the records.
 */
export class GroupMember {
  readonly membership = new Membership();
  readonly #options: GroupMemberOptions;
  readonly #watch: JoinWatch;
  readonly #halting = new AbortController();
  #client: KafkaClient;
  #consumer: Consumer | null = null;
  #lastError: string | null = null;
  /** Number of the newest {@link #connect}. An earlier one may return late from kafkajs: it does nothing then. */
  #connecting = 0;
  /** Attempts to connect since this member was last in its group. */
  #attempts = 0;
  #loggedAtMs = -Infinity;
  /** When the group coordinator was last seen to be starting, by the monotonic clock. */
  #startingAtMs = -Infinity;
  /** When kafkajs last showed that it fetches, by the monotonic clock. */
  #aliveAtMs = 0;

  /** @throws ConfigurationError UNSAFE_DEBUG_FLAG: see `requireSafeEnvironment` */
  constructor(options: GroupMemberOptions) {
    this.#options = options;
    const { settings, logger, joinTimeoutMs = JOIN_TIMEOUT_MS } = options;
    this.#client = this.#newClient();
    this.#watch = new JoinWatch({
      joined: () => this.alive,
      waiting: () => performance.now() - this.#startingAtMs < COORDINATOR_MS,
      lastError: () => this.#lastError,
      probe: async () => probe(settings, { logger, deadlineMs: settings.requestTimeoutMs }),
      timeoutMs: joinTimeoutOf(settings, joinTimeoutMs),
      intervalMs: Math.min(WATCH_INTERVAL_MS, joinTimeoutMs),
      onFatal: options.onFatal,
    });
  }

  /** Whether this member is in its group and fetches: kafkajs can hang in its own clean-up and still count as joined. */
  get alive(): boolean {
    const silentMs = performance.now() - this.#aliveAtMs;
    return this.membership.joined && silentMs < Math.max(SILENT_MS, this.#options.settings.sessionTimeoutMs);
  }

  /** Kafka's name of the last error; null after a join. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** kafkajs's consumer; null while there is none. */
  get consumer(): Consumer | null {
    return this.#consumer;
  }

  start(): void {
    this.#watch.start();
    void this.#connect();
  }

  /** Drops the old connections, which may be stuck, and joins again over new ones. */
  async rejoin(): Promise<void> {
    const stuck = this.#client;
    this.#client = this.#newClient();
    await this.#reconnect(stuck);
  }

  /** Stops fetching and reconnecting. A member stays in its group, with heartbeats, until {@link leave}. */
  halt(): void {
    this.#halting.abort();
    this.#watch.stop();
    for (const partition of this.membership.partitions) this.pause(partition);
  }

  async leave(): Promise<void> {
    const consumer = this.#consumer;
    try {
      if (consumer !== null) await withDeadline(consumer.disconnect(), DISCONNECT_MS);
    } catch (error) {
      const fields = { error: brokerErrorName(error) };
      this.#options.logger.warn(fields, 'could not leave the group: the session will expire');
    } finally {
      this.#client.close();
      this.#consumer = null;
      this.membership.leave();
    }
  }

  pause({ topic, partition }: TopicPartition): void {
    this.#control((consumer) => consumer.pause([{ topic, partitions: [partition] }]));
  }

  resume({ topic, partition }: TopicPartition): void {
    this.#control((consumer) => consumer.resume([{ topic, partitions: [partition] }]));
  }

  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#control((consumer) => consumer.seek({ topic, partition, offset: String(offset) }));
  }

  /** kafkajs throws while it restarts its consumer. That is harmless: it then reads from the committed offsets. */
  #control(call: (consumer: Consumer) => void): void {
    if (this.#consumer === null) return;
    try {
      call(this.#consumer);
    } catch (error) {
      this.#options.logger.debug({ error: brokerErrorName(error) }, 'kafkajs is restarting its consumer');
    }
  }

  #newClient(): KafkaClient {
    const { settings, logger, onOutOfRange } = this.#options;
    return createGroupClient(settings, { logger, onOutOfRange });
  }

  get #halted(): boolean {
    return this.#halting.signal.aborted;
  }

  /** Tries until it is connected, at start and later. */
  async #connect(): Promise<void> {
    const mine = (this.#connecting += 1);
    const isWanted = (): boolean => mine === this.#connecting && !this.#halted;
    while (isWanted()) {
      if (this.#attempts > 0) await this.#backOff();
      if (!isWanted()) return;
      this.#attempts += 1;
      try {
        await this.#run();
        return;
      } catch (error) {
        if (!isWanted()) return;
        this.#noteError(error);
        this.#logWaiting();
        await this.#discard();
      }
    }
  }

  /** If several calls overlap, only the newest goes on. */
  async #reconnect(stuck?: KafkaClient): Promise<void> {
    const mine = (this.#connecting += 1);
    await this.#discard();
    stuck?.close();
    if (mine === this.#connecting) await this.#connect();
  }

  async #backOff(): Promise<void> {
    const { signal } = this.#halting;
    await sleep(backoffMs(this.#attempts, CONNECT_BACKOFF), undefined, { signal }).catch(() => undefined);
  }

  #logWaiting(): void {
    if (performance.now() - this.#loggedAtMs < CONNECT_LOG_EVERY_MS) return;
    this.#loggedAtMs = performance.now();
    const fields = { attempt: this.#attempts, error: this.#lastError };
    this.#options.logger.warn(fields, 'waiting for the broker');
  }

  async #run(): Promise<void> {
    const { settings, topics, eachBatch } = this.#options;
    const consumer = this.#client.kafka.consumer(toConsumerConfig(settings));
    this.#consumer = consumer;
    this.#listen(consumer);
    await consumer.connect();
    await consumer.subscribe({ topics: [...new Set(topics)], fromBeginning: true });
    if (this.#halted || consumer !== this.#consumer) return;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: async (payload) => {
        if (consumer === this.#consumer) await eachBatch(payload);
      },
    });
  }

  /** A kafkajs consumer cannot be used again after a failed start. */
  async #discard(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.membership.leave();
    if (consumer !== null) await withDeadline(consumer.disconnect(), DISCONNECT_MS).catch(() => undefined);
  }

  #listen(consumer: Consumer): void {
    const { GROUP_JOIN, REBALANCING, CRASH, FETCH, HEARTBEAT, END_BATCH_PROCESS } = consumer.events;
    const ifCurrent =
      <T>(listener: (event: T) => void) =>
      (event: T): void => {
        if (consumer === this.#consumer) listener(event);
      };
    const alive = ifCurrent(() => {
      this.#aliveAtMs = performance.now();
    });
    consumer.on(FETCH, alive);
    consumer.on(HEARTBEAT, alive);
    consumer.on(
      REBALANCING,
      ifCurrent(() => this.membership.rejoining()),
    );
    consumer.on(
      GROUP_JOIN,
      ifCurrent(({ payload }) => this.#joined(payload.memberAssignment)),
    );
    consumer.on(
      CRASH,
      ifCurrent(({ payload }) => this.#crashed(payload)),
    );
    consumer.on(
      END_BATCH_PROCESS,
      ifCurrent(({ payload }) => {
        if (payload.batchSize === 0) this.#options.onEmptyBatch?.(payload);
      }),
    );
  }

  #joined(assignment: Readonly<Record<string, readonly number[]>>): void {
    this.#aliveAtMs = performance.now();
    this.#lastError = null;
    this.#startingAtMs = -Infinity;
    this.#attempts = 0;
    this.membership.join(assignment);
    this.#options.onJoined();
    if (this.#halted) this.halt();
    this.#options.logger.info({ partitions: this.membership.partitions.length }, 'joined the group');
  }

  #crashed({ error, restart }: { readonly error: Error; readonly restart: boolean }): void {
    this.membership.leave();
    this.#noteError(error);
    if (this.#halted) return;
    this.#options.logger.warn({ error: this.#lastError }, 'the consumer lost its group');
    if (restart) return;
    if (isWaitingForBroker(error)) void this.#reconnect();
    else this.#options.onFatal(fatalError(error));
  }

  #noteError(error: unknown): void {
    this.#lastError = brokerErrorName(error);
    if (isCoordinatorStarting(error)) this.#startingAtMs = performance.now();
  }
}
