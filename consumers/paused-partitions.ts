import type { Logger } from 'pino';
import type { WorkerError } from '../src/errors.js';
import type { ErrorCode } from '../src/errors.js';
import { brokerErrorName, fatalError, isMembershipError, isRetriable } from '../src/kafka/errors.js';
import type { PartitionFailures } from './failures.js';
import type { Membership } from './membership.js';
import type { PartitionRun } from './partition-run.js';
import type { Bell } from './limit.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';

/** What kafkajs is told of a partition; nothing where there is no consumer, or it is starting anew. */
export interface PartitionControl {
  pause(of: TopicPartition): void;
  resume(of: TopicPartition): void;
  seek(of: TopicPartition, offset: number): void;
}

export interface HoldsContext {
  readonly control: PartitionControl;
  readonly membership: Membership;
  readonly failures: PartitionFailures;
  readonly bell: Bell;
  readonly logger: Logger;
  /** While true nothing that is held is let go: the consumer is about to stop. */
  readonly halted: () => boolean;
  readonly onFatal: (error: WorkerError) => void;
  readonly onPause?: ((event: TopicPartition & { code: ErrorCode; delayMs: number }) => void) | undefined;
  readonly onResume?: ((event: TopicPartition) => void) | undefined;
}

interface Hold {
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
 * records take longer than a batch may (until they are finished) and one whose offset was not taken (until it is). So no partition holds up the others: kafkajs has one
 * fetcher per broker, which waits for all handlers before it fetches again.
 *
 * A partition never has two runs: it is let go when everything that was begun has finished.
 */
export class PartitionHolds {
  readonly #holds = new Map<PartitionKey, Hold>();
  readonly #context: HoldsContext;

  constructor(context: HoldsContext) {
    this.#context = context;
  }

  has(key: PartitionKey): boolean {
    return this.#holds.has(key);
  }

  runs(): readonly PartitionRun[] {
    return [...this.#holds.values()].map(({ run }) => run);
  }

  hold(run: PartitionRun): void {
    run.moveToBackground();
    const hold: Hold = { run, delayMs: null, from: 'position', timer: null };
    this.#holds.set(run.key, hold);
    this.#context.control.pause(run);
    this.#noteFailure(hold);
    void this.#settle(hold);
  }

  /**
   * After joining: what went to others is aborted and forgotten, what stayed ours stays held. kafkajs forgets what is
   * paused when it starts anew; everything held is paused again before it can fetch.
   */
  reassigned(): void {
    for (const hold of [...this.#holds.values()]) {
      const { run } = hold;
      if (this.#context.membership.owns(run.key) && !run.aborted) {
        this.#context.control.pause(run);
        continue;
      }
      run.abort();
      if (run.inFlight > 0) this.#context.control.pause(run);
      else this.#letGo(hold);
    }
  }

  /** The partition is read from another place: what is held of it ends, at once where nothing is under way. */
  drop(key: PartitionKey): void {
    const hold = this.#holds.get(key);
    if (hold === undefined) return;
    hold.run.abort();
    if (hold.run.inFlight === 0) this.#letGo(hold);
  }

  /** No hold ends by itself any more. */
  freeze(): void {
    for (const hold of this.#holds.values()) {
      if (hold.timer !== null) clearTimeout(hold.timer);
    }
  }

  /**
   * Commits what a run has finished, where its partition is still ours. Losing that race is nothing bad.
   * @returns false: it is ours, and its offset was not taken
   */
  async commit(run: PartitionRun): Promise<boolean> {
    if (!this.#owned(run)) return true;
    try {
      await run.commit();
      return true;
    } catch (error) {
      if (!isMembershipError(error) && !isRetriable(error)) throw error;
      const { topic, partition } = run;
      const fields = { topic, partition, offset: run.position, error: brokerErrorName(error) };
      this.#context.logger.debug(fields, 'offset not committed yet');
      return !this.#owned(run);
    }
  }

  #owned(run: PartitionRun): boolean {
    return this.#context.membership.owns(run.key) && !run.aborted;
  }

  #noteFailure(hold: Hold): void {
    const { run } = hold;
    if (run.failure === null || hold.delayMs !== null || run.aborted) return;
    if (run.position > run.startOffset) this.#context.failures.clear(run.key);
    hold.delayMs = this.#context.failures.record(run, run.failure.code);
    const { topic, partition } = run;
    this.#context.onPause?.({ topic, partition, code: run.failure.code, delayMs: hold.delayMs });
  }

  async #settle(hold: Hold): Promise<void> {
    const { run } = hold;
    while (run.inFlight > 0) await this.#context.bell.wait(LOOK_AGAIN_MS);
    this.#noteFailure(hold);
    try {
      // What was not taken is read again, as duplicates: there may never be a later record whose commit covers it.
      if (!(await this.commit(run))) hold.from = 'committed';
    } catch (error) {
      this.#context.onFatal(fatalError(error));
      return;
    }
    if (this.#holds.get(run.key) !== hold || this.#context.halted()) return;
    if (!this.#owned(run)) {
      this.#letGo(hold);
      return;
    }
    if (run.failure === null && run.position > run.startOffset) this.#context.failures.clear(run.key);
    const leastMs = hold.from === 'committed' ? COMMIT_AGAIN_MS : 0;
    hold.timer = setTimeout(() => this.#letGo(hold), Math.max(leastMs, hold.delayMs ?? 0));
  }

  #letGo(hold: Hold): void {
    const { run } = hold;
    if (hold.timer !== null) clearTimeout(hold.timer);
    this.#holds.delete(run.key);
    const { topic, partition } = run;
    const { control, onResume } = this.#context;
    // A partition that was away in between starts from what is committed instead.
    if (this.#owned(run)) control.seek({ topic, partition }, run[hold.from]);
    control.resume({ topic, partition });
    if (hold.delayMs !== null) onResume?.({ topic, partition });
  }
}
