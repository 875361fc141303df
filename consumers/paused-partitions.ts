import type { Logger } from 'pino';
import { WorkerError } from '../src/errors.js';
import type { ErrorCode } from '../src/errors.js';
import { brokerErrorName, fatalError, isMembershipError, isRetriable } from '../src/kafka/errors.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';
import type { PartitionFailures } from './failures.js';
import type { WakeUp } from './limit.js';
import type { Membership } from './membership.js';
import type { PartitionRun } from './partition-run.js';

/** Pauses, resumes and seeks in kafkajs. Does nothing while kafkajs has no consumer, or restarts it. */
export interface PartitionControl {
  pause(of: TopicPartition): void;
  resume(of: TopicPartition): void;
  seek(of: TopicPartition, offset: number): void;
}

interface PausedContext {
  readonly control: PartitionControl;
  readonly membership: Membership;
  readonly failures: PartitionFailures;
  readonly wakeUp: WakeUp;
  readonly logger: Logger;
  /** While true, no partition is resumed: the consumer is about to stop. */
  readonly halted: () => boolean;
  readonly onFatal: (error: WorkerError) => void;
  readonly onPause?: ((event: TopicPartition & { code: ErrorCode; delayMs: number }) => void) | undefined;
  readonly onResume?: ((event: TopicPartition) => void) | undefined;
}

interface Pause {
  readonly run: PartitionRun;
  /** The back-off after a failure; null if the run is only slow, or its commit failed. */
  delayMs: number | null;
  /** Where kafkajs reads on after the pause. */
  from: 'position' | 'committed';
  timer: NodeJS.Timeout | null;
}

const LOOK_AGAIN_MS = 1_000;
const COMMIT_AGAIN_MS = 1_000;

/**
 * The partitions that kafkajs must not fetch now:
 *
 * - a record failed: until the back-off is over
 * - records take longer than a batch may: until they are finished
 * - a commit failed: for a second, then it is read again from its committed offset
 *
 * Otherwise one partition would delay all others: kafkajs has one fetcher per broker, which waits for all handlers before
 * it fetches again. A partition never has two runs: it is resumed when no record of its run is in flight.
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
   * Called after each join. Aborts the runs of partitions that other members have now. Pauses the other partitions
   * again: kafkajs forgets its pauses when it restarts its consumer.
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

  /** Aborts the run of a partition that will be read from another offset. The pause ends when no record is in flight. */
  drop(key: PartitionKey): void {
    const pause = this.#paused.get(key);
    if (pause === undefined) return;
    pause.run.abort();
    if (pause.run.inFlight === 0) this.#resume(pause);
  }

  /** Stops the timers: no pause ends by itself after this. */
  freeze(): void {
    for (const pause of this.#paused.values()) {
      if (pause.timer !== null) clearTimeout(pause.timer);
    }
  }

  /**
   * Commits what a run has finished, if its partition is still ours. A commit that loses a race with a rebalance is
   * harmless.
   * @returns false if the commit failed and the partition is still ours
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
      this.#context.logger.debug(fields, 'the offset could not be committed yet');
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
      // After a failed commit the records are read again, as duplicates: perhaps no later commit would cover them.
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
    // A partition that another member had in between starts from its committed offset instead.
    if (this.#owned(run)) control.seek({ topic, partition }, run[pause.from]);
    control.resume({ topic, partition });
    if (pause.delayMs !== null) onResume?.({ topic, partition });
  }
}
