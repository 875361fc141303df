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

/** More than a process has partitions: kafkajs takes the number when it starts, assignments change later. */
const PARTITIONS_AT_ONCE = 256;
const MAX_WAIT_MS = 250;
const JOIN_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 5_000;
const CONNECT_BACKOFF: BackoffOptions = { minMs: 500, maxMs: 15_000 };
const CONNECT_LOG_EVERY_MS = 30_000;
/** kafkajs tells of a coordinator that is still starting after its own retries, every dozen seconds. */
const COORDINATOR_MS = 30_000;
const SILENT_MS = 30_000;
const DISCONNECT_MS = 5_000;

/** What kafkajs's consumer is configured with. */
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

export interface GroupMemberOptions {
  readonly settings: KafkaSettings;
  readonly topics: readonly string[];
  readonly logger: Logger;
  /** What kafkajs calls with each batch. It fetches again when all partitions' calls have returned. */
  readonly eachBatch: EachBatchHandler;
  /** A batch of transaction markers or compacted records only: kafkajs skips these itself. */
  readonly onEmptyBatch?: (batch: ConsumerEndBatchProcessEvent['payload']) => void;
  /** After each joining, inside of kafkajs, before the first fetch under the new assignment. */
  readonly onJoined: () => void;
  readonly onOutOfRange?: ((of: TopicPartition) => void) | undefined;
  /** This member cannot go on as it is: to be told again until it is a member, or halted. */
  readonly onFatal: (error: WorkerError) => void;
  /**
   * How long the broker may answer without this member getting into its group: at least; 60,000 by default.
   * See {@link joinTimeoutOf}.
   */
  readonly joinTimeoutMs?: number;
}

/**
 * One member of a consumer group: connects, joins, notices when it gets stuck, connects again, leaves. An unreachable
 * broker, or a group coordinator that is still starting, is waited for. What is done with the records is the caller's.
 */
export class GroupMember {
  readonly membership = new Membership();
  readonly #options: GroupMemberOptions;
  readonly #watch: JoinWatch;
  readonly #halting = new AbortController();
  #client: KafkaClient;
  #consumer: Consumer | null = null;
  #lastError: string | null = null;
  /** Which run of {@link #connect} counts: an earlier one may hang inside of kafkajs and come back. */
  #connecting = 0;
  /** Attempts to connect since this was last a member. */
  #attempts = 0;
  #loggedAtMs = -Infinity;
  /** When the group coordinator was last seen to be starting, by the monotonic clock. */
  #startingAtMs = -Infinity;
  /** When kafkajs last showed that it fetches, by the monotonic clock. */
  #aliveAtMs = 0;

  /** @throws ConfigurationError UNSAFE_DEBUG_FLAG where the environment would make kafkajs print records */
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

  /** A member, and fetching: kafkajs can hang in its own clean-up while it still counts as joined. */
  get alive(): boolean {
    const silentMs = performance.now() - this.#aliveAtMs;
    return this.membership.joined && silentMs < Math.max(SILENT_MS, this.#options.settings.sessionTimeoutMs);
  }

  /** Kafka's name of what went wrong last; null since it is a member. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** kafkajs's own; null while there is none. */
  get consumer(): Consumer | null {
    return this.#consumer;
  }

  start(): void {
    this.#watch.start();
    void this.#connect();
  }

  /** Leaves in any case and joins again, over new connections: whatever is left of the old ones can do nothing. */
  async rejoin(): Promise<void> {
    const stuck = this.#client;
    this.#client = this.#newClient();
    await this.#reconnect(stuck);
  }

  /** Connects no more. A member stays one, with its heartbeats, until {@link leave}; it fetches nothing. */
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
      this.#options.logger.warn(fields, 'the group was not left in order: its session runs out');
    } finally {
      this.#client.close();
      this.#consumer = null;
      this.membership.leave();
    }
  }

  pause({ topic, partition }: TopicPartition): void {
    this.#tell((consumer) => consumer.pause([{ topic, partitions: [partition] }]));
  }

  resume({ topic, partition }: TopicPartition): void {
    this.#tell((consumer) => consumer.resume([{ topic, partitions: [partition] }]));
  }

  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#tell((consumer) => consumer.seek({ topic, partition, offset: String(offset) }));
  }

  /** kafkajs throws while its consumer starts anew. Nothing is lost: it starts from what is committed then. */
  #tell(say: (consumer: Consumer) => void): void {
    if (this.#consumer === null) return;
    try {
      say(this.#consumer);
    } catch (error) {
      this.#options.logger.debug({ error: brokerErrorName(error) }, 'the consumer is starting anew');
    }
  }

  #newClient(): KafkaClient {
    const { settings, logger, onOutOfRange } = this.#options;
    return createGroupClient(settings, { logger, onOutOfRange });
  }

  get #halted(): boolean {
    return this.#halting.signal.aborted;
  }

  /** Until it works: an unreachable broker is waited for, at start and later. */
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

  /** Of several at a time the last one counts. */
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

  /** kafkajs's consumer cannot be used again after a failed start. */
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
