import type { Logger } from 'pino';
import type { ErrorCode } from '../src/errors.js';
import { backoffMs, PARTITION_BACKOFF } from '../src/kafka/backoff.js';
import type { BackoffOptions } from '../src/kafka/backoff.js';
import type { PartitionKey } from '../src/kafka/partitions.js';
import type { PartitionRun } from './partition-run.js';

/** A partition that does not get on: for readiness and metrics. */
export interface FailingPartition {
  readonly topic: string;
  readonly partition: number;
  /** The record that fails. */
  readonly offset: number;
  readonly code: ErrorCode;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Failures in a row. */
  readonly attempts: number;
}

/** One line per partition and this long at most, however often it is tried. */
const LOG_EVERY_MS = 30_000;

/** Which partitions fail, since when and how often; tells when to try again. */
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
   * Takes down the failure of a run.
   * @returns milliseconds until the next attempt
   */
  record(run: Pick<PartitionRun, 'key' | 'topic' | 'partition' | 'position'>, code: ErrorCode): number {
    const before = this.#failing.get(run.key);
    const nowMs = Date.now();
    const failing: FailingPartition = {
      topic: run.topic,
      partition: run.partition,
      offset: run.position,
      code: causeOf(code, before?.code),
      sinceMs: before?.sinceMs ?? nowMs,
      attempts: (before?.attempts ?? 0) + 1,
    };
    this.#failing.set(run.key, failing);
    const delayMs = backoffMs(failing.attempts, this.#backoff);
    this.#log(run.key, failing, delayMs, nowMs);
    return delayMs;
  }

  /** The partition got on: the next failure is a first one again. */
  clear(key: PartitionKey): void {
    const failing = this.#failing.get(key);
    if (failing === undefined) return;
    this.#failing.delete(key);
    const { topic, partition, attempts, sinceMs } = failing;
    this.#logger.info({ topic, partition, attempts, durationMs: Date.now() - sinceMs }, 'partition goes on');
  }

  /** The partition is somebody else's concern now. */
  forget(key: PartitionKey): void {
    this.#failing.delete(key);
    this.#loggedAtMs.delete(key);
  }

  #log(key: PartitionKey, failing: FailingPartition, delayMs: number, nowMs: number): void {
    const loggedAtMs = this.#loggedAtMs.get(key);
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < LOG_EVERY_MS) return;
    this.#loggedAtMs.set(key, nowMs);
    this.#logger.warn({ ...failing, delayMs }, 'partition is held and tried again');
  }
}

/**
 * After a request of unknown outcome the claim runs out instead of being released, and the next attempts meet it: what
 * is the matter is still what was the matter before.
 */
function causeOf(code: ErrorCode, before: ErrorCode | undefined): ErrorCode {
  return code === 'CLAIM_LOST' ? (before ?? code) : code;
}
