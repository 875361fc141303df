import type { Logger } from 'pino';
import { WorkerError } from '../src/errors.js';
import type { ErrorCode } from '../src/errors.js';
import { brokerErrorName, fatalError, isMembershipError, isRetriable } from '../src/kafka/errors.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';
import type { PartitionFailures } from './failures.js';
import type { WakeUp } from './limit.js';
import type { Membership } from './membership.js';
import type { PartitionRun } from './partition-run.js';

/** What kafkajs is told of a partition; nothing where there is no consumer, or it is starting anew. */
export interface PartitionControl {
  pause(of: TopicPartition): void;
  resume(of: TopicPartition): void;
  seek(of: TopicPartition, offset: number): void;
}

export interface PausedContext {
  readonly control: PartitionControl;
  readonly membership: Membership;
  readonly failures: PartitionFailures;
  readonly wakeUp: WakeUp;
  readonly logger: Logger;
  /** While true nothing that is paused is resumed: the consumer is about to stop. */
  readonly halted: () => boolean;
  readonly onFatal: (error: WorkerError) => void;
  readonly onPause?: ((event: TopicPartition & { code: ErrorCode; delayMs: number }) => void) | undefined;
  readonly onResume?: ((event: TopicPartition) => void) | undefined;
}

interface Pause {
  readonly run: PartitionRun;
  /** Set once by the first failure; null where the run is merely slow, or not committed. */
  delayMs: number | null;
  /** Where its partition is read on. */
  from: 'position' | 'committed';
  timer: NodeJS.Timeout | null;
}

const LOOK_AGAIN_MS = 1_000;
const COMMIT_AGAIN_MS = 1_000;

/**
 * Partitions that kafkajs must not fetch at present: one whose record failed (until its backoff is over), one whose
 * records take longer than a batch may (until they are finished) and one whose offset was not taken (until it is). So no
 * partition keeps the others waiting: kafkajs has one fetcher per broker, which waits for all handlers before it fetches
 * again.
 *
 * A partition never has two runs: it is resumed when everything that was begun has finished.
 */
export class PausedPartitions {
  readonly #paused = new Map<PartitionKey, Pause>();
  readonly #context: PausedContext;

  constructor(context: PausedContext) {
    this.#context = context;
  }

  has(key: PartitionKey): boolean {
    return this.#paused.has(key);
  }

  runs(): readonly PartitionRun[] {
    return [...this.#paused.values()].map(({ run }) => run);
  }

  pause(run: PartitionRun): void {
    run.moveToBackground();
    const pause: Pause = { run, delayMs: null, from: 'position', timer: null };
    this.#paused.set(run.key, pause);
    this.#context.control.pause(run);
    this.#noteFailure(pause);
    void this.#untilDone(pause);
  }

  /**
   * After joining: what went to others is aborted and forgotten, what stayed ours stays paused. kafkajs forgets that
   * when it starts anew, and is told again before it can fetch.
   */
  reassigned(): void {
    for (const pause of [...this.#paused.values()]) {
      const { run } = pause;
      if (this.#context.membership.owns(run.key) && !run.aborted) {
        this.#context.control.pause(run);
        continue;
      }
      run.abort();
      if (run.inFlight > 0) this.#context.control.pause(run);
      else this.#resume(pause);
    }
  }

  /** The partition is read from another place: its pause ends, at once where nothing is under way. */
  drop(key: PartitionKey): void {
    const pause = this.#paused.get(key);
    if (pause === undefined) return;
    pause.run.abort();
    if (pause.run.inFlight === 0) this.#resume(pause);
  }

  /** No pause ends by itself after this. */
  freeze(): void {
    for (const pause of this.#paused.values()) {
      if (pause.timer !== null) clearTimeout(pause.timer);
    }
  }

  /**
   * Commits what a run has finished, where its partition is still ours. Losing that race is harmless.
   * @returns false: it is ours, and its offset was not taken
   */
  async commit(run: PartitionRun): Promise<boolean> {
    if (!this.#owned(run)) return true;
    try {
      await run.commit();
      return true;
    } catch (error) {
      const isTransient = error instanceof WorkerError && error.retryable;
      if (!isTransient && !isMembershipError(error) && !isRetriable(error)) throw error;
      const { topic, partition } = run;
      const name = isTransient ? error.code : brokerErrorName(error);
      const fields = { topic, partition, offset: run.position, error: name };
      this.#context.logger.debug(fields, 'offset not committed yet');
      return !this.#owned(run);
    }
  }

  #owned(run: PartitionRun): boolean {
    return this.#context.membership.owns(run.key) && !run.aborted;
  }

  #noteFailure(pause: Pause): void {
    const { run } = pause;
    if (run.failure === null || pause.delayMs !== null || run.aborted) return;
    if (run.position > run.startOffset) this.#context.failures.clear(run.key);
    pause.delayMs = this.#context.failures.record(run, run.failure.code);
    const { topic, partition } = run;
    this.#context.onPause?.({ topic, partition, code: run.failure.code, delayMs: pause.delayMs });
  }

  async #untilDone(pause: Pause): Promise<void> {
    const { run } = pause;
    while (run.inFlight > 0) await this.#context.wakeUp.wait(LOOK_AGAIN_MS);
    this.#noteFailure(pause);
    try {
      // What was not taken is read again, as duplicates: there may never be a later record whose commit covers it.
      if (!(await this.commit(run))) pause.from = 'committed';
    } catch (error) {
      this.#context.onFatal(fatalError(error));
      return;
    }
    if (this.#paused.get(run.key) !== pause || this.#context.halted()) return;
    if (!this.#owned(run)) {
      this.#resume(pause);
      return;
    }
    if (run.failure === null && run.position > run.startOffset) this.#context.failures.clear(run.key);
    const leastMs = pause.from === 'committed' ? COMMIT_AGAIN_MS : 0;
    pause.timer = setTimeout(() => this.#resume(pause), Math.max(leastMs, pause.delayMs ?? 0));
  }

  #resume(pause: Pause): void {
    const { run } = pause;
    if (pause.timer !== null) clearTimeout(pause.timer);
    this.#paused.delete(run.key);
    const { topic, partition } = run;
    const { control, onResume } = this.#context;
    // A partition that was away in between starts from what is committed instead.
    if (this.#owned(run)) control.seek({ topic, partition }, run[pause.from]);
    control.resume({ topic, partition });
    if (pause.delayMs !== null) onResume?.({ topic, partition });
  }
}
