import type { Logger } from 'pino';
import type { ErrorCode } from '../src/errors.js';
import { backoffMs, PARTITION_BACKOFF } from '../src/kafka/backoff.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import type { PartitionKey } from '../src/kafka/partitions.js';
import type { PartitionRun } from './partition-run.js';

/** A partition whose next record fails: for readiness and metrics. */
export interface FailingPartition {
  readonly topic: string;
  readonly partition: number;
  /** The first offset that is not handled. */
  readonly offset: number;
  readonly code: ErrorCode;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Failures in a row. */
  readonly attempts: number;
}

/** A failing partition is logged at most once in this time. */
const LOG_EVERY_MS = 30_000;

/** Knows which partitions fail, since when and how often, and computes the back-off. */
export class PartitionFailures {
  readonly #failing = new Map<PartitionKey, FailingPartition>();
  readonly #loggedAtMs = new Map<PartitionKey, number>();
  readonly #logger: Logger;
  readonly #backoff: BackoffOptions;

  constructor(logger: Logger, backoff: BackoffOptions = PARTITION_BACKOFF) {
    this.#logger = logger;
    this.#backoff = backoff;
  }

  list(): readonly FailingPartition[] {
    return [...this.#failing.values()];
  }

  has(key: PartitionKey): boolean {
    return this.#failing.has(key);
  }

  /**
   * Records the failure of a run.
   * @returns milliseconds until the next attempt
   */
  record(run: Pick<PartitionRun, 'key' | 'topic' | 'partition' | 'position'>, code: ErrorCode): number {
    const before = this.#failing.get(run.key);
    const nowMs = Date.now();
    const failing: FailingPartition = {
      topic: run.topic,
      partition: run.partition,
      offset: run.position,
      // A request that got no answer keeps its claim until it expires. Attempts before that fail with CLAIM_LOST, which
      // would hide the cause: the earlier code stays.
      code: code === 'CLAIM_LOST' ? (before?.code ?? code) : code,
      sinceMs: before?.sinceMs ?? nowMs,
      attempts: (before?.attempts ?? 0) + 1,
    };
    this.#failing.set(run.key, failing);
    const delayMs = backoffMs(failing.attempts, this.#backoff);
    this.#log(run.key, failing, delayMs, nowMs);
    return delayMs;
  }

  /** The partition made progress: its next failure counts as the first one. */
  clear(key: PartitionKey): void {
    const failing = this.#failing.get(key);
    if (failing === undefined) return;
    this.#failing.delete(key);
    const { topic, partition, attempts, sinceMs } = failing;
    this.#logger.info(
      { topic, partition, attempts, durationMs: Date.now() - sinceMs },
      'the partition works again',
    );
  }

  /** Another member has the partition now, or it will be read from another offset. */
  forget(key: PartitionKey): void {
    this.#failing.delete(key);
    this.#loggedAtMs.delete(key);
  }

  #log(key: PartitionKey, failing: FailingPartition, delayMs: number, nowMs: number): void {
    const loggedAtMs = this.#loggedAtMs.get(key);
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < LOG_EVERY_MS) return;
    this.#loggedAtMs.set(key, nowMs);
    this.#logger.warn({ ...failing, delayMs }, 'a record fails: its partition is paused and tried again');
  }
}
