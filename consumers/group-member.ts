import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, ConsumerConfig, ConsumerCrashEvent, ConsumerGroupJoinEvent } from 'kafkajs';
import type { WorkerError } from '../src/errors.js';
import { backoffMs } from '../src/kafka/backoff.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import { Batches } from './batches.js';
import { createGroupClient } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import type { SourceConsumer, SourceConsumerOptions, SourceConsumerState } from './consumer-options.js';
import { withDeadline } from '../src/kafka/deadline.js';
import {
  brokerErrorName,
  fatalError,
  isCoordinatorStarting,
  isWaitingForBroker,
  withoutText,
} from '../src/kafka/errors.js';
import { PartitionFailures } from './failures.js';
import { PartitionHolds } from './paused-partitions.js';
import { joinTimeoutOf, JoinWatch } from './join-watch.js';
import { Membership } from './membership.js';
import type { PartitionRun } from './partition-run.js';
import { probe } from '../src/kafka/ping.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import { Bell, Slots } from './limit.js';
import { partitionKey } from '../src/kafka/partitions.js';
import type { RecordsBelow } from '../src/kafka/partitions.js';

/** More than a process has partitions: kafkajs takes the number when it starts, assignments change later. */
const PARTITIONS_AT_ONCE = 256;
const MAX_WAIT_MS = 250;
const JOIN_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 5_000;
const CONNECT_BACKOFF: BackoffOptions = { minMs: 500, maxMs: 15_000 };
const CONNECT_LOG_EVERY_MS = 30_000;
/** kafkajs tells of a coordinator that is still starting after its own retries, every dozen seconds. */
const COORDINATOR_MS = 30_000;
const ABORT_MS = 1_000;
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

export function createSourceConsumer(options: SourceConsumerOptions): SourceConsumer {
  return new KafkaSourceConsumer(options);
}

class KafkaSourceConsumer implements SourceConsumer {
  readonly #options: SourceConsumerOptions;
  readonly #client: KafkaClient;
  readonly #membership = new Membership();
  readonly #failures: PartitionFailures;
  readonly #holds: PartitionHolds;
  readonly #batches: Batches;
  readonly #watch: JoinWatch;
  readonly #bell = new Bell();
  readonly #stopping = new AbortController();
  #consumer: Consumer | null = null;
  #fatal = false;
  #lastError: string | null = null;
  /** When the group coordinator was last seen to be starting, by the monotonic clock. */
  #startingAtMs = -Infinity;
  /** When kafkajs last showed that it fetches, by the monotonic clock. */
  #aliveAtMs = 0;

  constructor(options: SourceConsumerOptions) {
    this.#options = options;
    const { settings, logger, handler, concurrency } = options;
    const onPause = this.#guarded(options.onPause);
    const onResume = this.#guarded(options.onResume);
    const onBatch = this.#guarded(options.onBatch);
    const { backoff, joinTimeoutMs = JOIN_TIMEOUT_MS } = options;
    this.#client = createGroupClient(settings, { logger });
    this.#failures = new PartitionFailures(logger, backoff);
    const membership = this.#membership;
    const failures = this.#failures;
    const bell = this.#bell;
    const halted = (): boolean => this.#halted;
    const onFatal = (error: WorkerError): void => this.#end(error);
    const control = (): Consumer | null => this.#consumer;
    this.#holds = new PartitionHolds({
      ...{ control, membership, failures, bell, logger, halted, onFatal },
      ...{ onPause, onResume },
    });
    const run = { handler, slots: new Slots(concurrency), bell, range: options.range, onFatal };
    this.#batches = new Batches({ run, holds: this.#holds, failures, membership, halted, onBatch });
    this.#watch = new JoinWatch({
      joined: () => this.#alive,
      waiting: () => performance.now() - this.#startingAtMs < COORDINATOR_MS,
      lastError: () => this.#lastError,
      probe: async () => probe(settings, { logger, deadlineMs: settings.requestTimeoutMs }),
      timeoutMs: joinTimeoutOf(settings, joinTimeoutMs),
      intervalMs: Math.min(WATCH_INTERVAL_MS, joinTimeoutMs),
      onFatal,
    });
  }

  start(): void {
    this.#watch.start();
    void this.#connect();
  }

  state(): SourceConsumerState {
    return {
      joined: this.#alive,
      partitions: this.#membership.partitions,
      failing: this.#failures.list(),
    };
  }

  async rewind({ topic, partition, offset }: RecordsBelow): Promise<boolean> {
    const key = partitionKey(topic, partition);
    const consumer = this.#consumer;
    if (consumer === null || this.#halted || !this.#membership.owns(key)) return false;
    this.#batches.drop(key);
    this.#holds.drop(key);
    this.#failures.forget(key);
    try {
      consumer.seek({ topic, partition, offset: String(offset) });
      // Whoever has the partition next must begin there as well, also where this process ends before its next commit.
      await consumer.commitOffsets([{ topic, partition, offset: String(offset) }]);
      return true;
    } catch (error) {
      // It is starting anew, or loses its partitions: the next look finds the same, here or at another member.
      const fields = { topic, partition, offset, error: brokerErrorName(error) };
      this.#options.logger.warn(fields, 'a partition could not be read from its beginning yet');
      return false;
    }
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#halt();
    const runs = (): PartitionRun[] => [...this.#batches.runs(), ...this.#holds.runs()];
    await this.#settled(runs, graceMs);
    const late = runs().filter((run) => run.inFlight > 0);
    // What is finished is committed before the rest is told to stop: an aborted run commits nothing.
    await Promise.allSettled(runs().map(async (run) => withDeadline(this.#holds.commit(run), ABORT_MS)));
    for (const run of late) run.abort();
    await this.#settled(runs, ABORT_MS);
    await this.#leave();
  }

  get #halted(): boolean {
    return this.#stopping.signal.aborted || this.#fatal;
  }

  /** A member, and fetching: kafkajs can hang in its own clean-up while it still counts as joined. */
  get #alive(): boolean {
    const silentMs = performance.now() - this.#aliveAtMs;
    return this.#membership.joined && silentMs < Math.max(30_000, this.#options.settings.sessionTimeoutMs);
  }

  /** Nothing new is begun. Fetching goes on without contents, and with it the heartbeats. */
  #halt(): void {
    this.#watch.stop();
    this.#holds.freeze();
    for (const partition of this.#membership.partitions) this.#holds.pause(partition);
    this.#bell.ring();
  }

  #end(error: WorkerError): void {
    if (this.#fatal) return;
    this.#fatal = true;
    this.#halt();
    if (!this.#stopping.signal.aborted) this.#options.onFatal(error);
  }

  async #settled(runs: () => readonly PartitionRun[], ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (runs().some((run) => run.inFlight > 0) && performance.now() < until) {
      await this.#bell.wait(Math.min(100, until - performance.now()));
    }
  }

  async #leave(): Promise<void> {
    const consumer = this.#consumer;
    try {
      if (consumer !== null) await withDeadline(consumer.disconnect(), DISCONNECT_MS);
    } catch (error) {
      const fields = { error: brokerErrorName(error) };
      this.#options.logger.warn(fields, 'the group was not left in order: its session runs out');
    } finally {
      this.#client.close();
      this.#consumer = null;
      this.#membership.leave();
    }
  }

  /** Until it works: an unreachable broker is waited for, at start and later. */
  async #connect(): Promise<void> {
    let loggedAtMs = -Infinity;
    for (let attempt = 1; !this.#halted; attempt += 1) {
      try {
        await this.#run();
        return;
      } catch (error) {
        this.#noteError(error);
        if (performance.now() - loggedAtMs > CONNECT_LOG_EVERY_MS) {
          loggedAtMs = performance.now();
          this.#options.logger.warn({ attempt, error: brokerErrorName(error) }, 'waiting for the broker');
        }
        await this.#discard();
        const { signal } = this.#stopping;
        await sleep(backoffMs(attempt, CONNECT_BACKOFF), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #run(): Promise<void> {
    const consumer = this.#client.kafka.consumer(toConsumerConfig(this.#options.settings));
    this.#consumer = consumer;
    this.#listen(consumer);
    await consumer.connect();
    await consumer.subscribe({ topics: [...new Set(this.#options.topics)], fromBeginning: true });
    if (this.#halted) return;
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: this.#batches.handle,
    });
  }

  /** kafkajs's consumer cannot be used again after a failed start. */
  async #discard(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.#membership.leave();
    if (consumer !== null) await withDeadline(consumer.disconnect(), DISCONNECT_MS).catch(() => undefined);
  }

  #listen(consumer: Consumer): void {
    const { GROUP_JOIN, REBALANCING, CRASH, FETCH, HEARTBEAT, END_BATCH_PROCESS } = consumer.events;
    const alive = (): void => {
      this.#aliveAtMs = performance.now();
    };
    consumer.on(GROUP_JOIN, (event) => this.#joined(event));
    consumer.on(REBALANCING, () => this.#membership.rejoining());
    consumer.on(CRASH, (event) => this.#crashed(event, consumer));
    consumer.on(FETCH, alive);
    consumer.on(HEARTBEAT, alive);
    consumer.on(END_BATCH_PROCESS, ({ payload }) => {
      // Nothing but transaction markers or compacted records: kafkajs skips these itself.
      const { topic, partition, batchSize, highWatermark, lastOffset } = payload;
      if (batchSize > 0) return;
      const [high, last] = [Number(highWatermark), Number(lastOffset)];
      this.#options.range?.advance({ topic, partition }, last + 1);
      this.#guarded(this.#options.onBatch)({ topic, partition, highWatermark: high, lastOffset: last });
    });
  }

  /** Runs inside of kafkajs, before the first fetch under the new assignment. */
  #joined({ payload }: ConsumerGroupJoinEvent): void {
    this.#aliveAtMs = performance.now();
    this.#lastError = null;
    this.#startingAtMs = -Infinity;
    this.#membership.join(payload.memberAssignment);
    for (const { topic, partition } of this.#failures.list()) {
      if (!this.#membership.owns(`${topic}|${partition}`)) this.#failures.forget(`${topic}|${partition}`);
    }
    this.#seekInRange();
    this.#batches.reassigned();
    this.#holds.reassigned();
    if (this.#halted) this.#halt();
    const { partitions } = this.#membership;
    this.#options.logger.info({ partitions: partitions.length }, 'joined the group');
    this.#guarded(this.#options.onAssignment)(partitions);
  }

  /** A range's positions are the caller's: kafkajs would begin where the group's offsets are, or at the beginning. */
  #seekInRange(): void {
    const { range } = this.#options;
    if (range === undefined) return;
    for (const at of this.#membership.partitions) {
      const position = range.position(at);
      this.#consumer?.seek({ ...at, offset: String(position) });
      if (position >= range.end(at)) this.#holds.pause(at);
    }
  }

  #crashed({ payload }: ConsumerCrashEvent, consumer: Consumer): void {
    this.#membership.leave();
    this.#noteError(payload.error);
    if (this.#halted || consumer !== this.#consumer) return;
    this.#options.logger.warn({ error: this.#lastError }, 'the consumer lost its group');
    if (payload.restart) return;
    if (isWaitingForBroker(payload.error)) void this.#discard().then(async () => this.#connect());
    else this.#end(fatalError(payload.error));
  }

  #noteError(error: unknown): void {
    this.#lastError = brokerErrorName(error);
    if (isCoordinatorStarting(error)) this.#startingAtMs = performance.now();
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
