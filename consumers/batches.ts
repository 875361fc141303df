import type { EachBatchHandler, EachBatchPayload } from 'kafkajs';
import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey } from '../src/kafka/partitions.js';
import type { PartitionFailures } from './failures.js';
import type { Membership } from './membership.js';
import { PartitionRun } from './partition-run.js';
import type { RunContext } from './partition-run.js';
import type { PartitionControl, PausedPartitions } from './paused-partitions.js';

/** How far a partition is read, for the lag. `lastOffset` is the last one finished. */
export interface BatchReport {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: number;
  readonly lastOffset: number;
}

export interface BatchesContext {
  readonly run: RunContext;
  readonly control: Pick<PartitionControl, 'pause'>;
  readonly paused: PausedPartitions;
  readonly failures: PartitionFailures;
  readonly membership: Membership;
  readonly halted: () => boolean;
  readonly onBatch?: ((report: BatchReport) => void) | undefined;
}

/** A batch begins records for this long; what was begun then has some time to finish before its partition is paused. */
const TAKE_MS = 1_800;
const HAND_OVER_MS = 2_200;
/** How long what is under way may take when the group shares out its partitions anew. */
const DRAIN_MS = 2_000;
const TICK_MS = 200;

interface Problem {
  readonly error: unknown;
}

/**
 * What kafkajs calls with each batch. Takes what it can finish in about two seconds and returns: kafkajs fetches the
 * rest again. What is not finished or committed by then, or failed, pauses its partition (see {@link PausedPartitions})
 * while the others go on.
 */
export class Batches {
  readonly #active = new Set<PartitionRun>();
  readonly #context: BatchesContext;

  constructor(context: BatchesContext) {
    this.#context = context;
  }

  readonly handle: EachBatchHandler = async (payload) => {
    const { topic, partition } = payload.batch;
    const { control, paused, failures } = this.#context;
    const key = partitionKey(topic, partition);
    if (this.#isBehindRange(payload) || paused.has(key) || this.#context.halted()) {
      control.pause({ topic, partition });
      return;
    }
    const run = new PartitionRun(payload, this.#context.run, failures.has(key));
    this.#active.add(run);
    try {
      const problem = await this.#drive(run, payload);
      await this.#conclude(run, payload);
      if (problem !== null) throw problem.error;
    } finally {
      this.#active.delete(run);
    }
  };

  runs(): readonly PartitionRun[] {
    return [...this.#active];
  }

  /** After joining: what belongs to others now is aborted. */
  reassigned(): void {
    for (const run of this.#active) {
      if (!this.#context.membership.owns(run.key)) run.abort();
    }
  }

  /** The partition is read from another place: what is under way of it counts for nothing. */
  drop(key: PartitionKey): void {
    for (const run of this.#active) if (run.key === key) run.abort();
  }

  /** What lies behind the end of a range is not read on; everything before it has been. */
  #isBehindRange({ batch: { topic, partition, messages } }: EachBatchPayload): boolean {
    const { range } = this.#context.run;
    if (range === undefined) return false;
    const end = range.end({ topic, partition });
    if (Number(messages[0]?.offset ?? 0) < end) return false;
    range.skipTo({ topic, partition }, end);
    range.advance({ topic, partition }, end);
    return true;
  }

  /** @returns what kafkajs has to be told: an error of a heartbeat makes it join again */
  async #drive(run: PartitionRun, payload: EachBatchPayload): Promise<Problem | null> {
    const startedAt = performance.now();
    let handOverAt = startedAt + HAND_OVER_MS;
    let problem: Problem | null = null;
    for (;;) {
      const mayBegin =
        problem === null && performance.now() < startedAt + TAKE_MS && this.#mayGoOn(run, payload);
      if (mayBegin) run.begin();
      const nothingToDo = run.inFlight === 0 && !(mayBegin && run.hasMore);
      const leftMs = handOverAt - performance.now();
      if (nothingToDo || run.failure !== null || run.aborted || leftMs <= 0) return problem;
      await this.#context.run.wakeUp.wait(Math.min(TICK_MS, leftMs));
      if (problem !== null) continue;
      problem = await heartbeat(payload);
      if (problem !== null) handOverAt = Math.min(handOverAt, performance.now() + DRAIN_MS);
    }
  }

  #mayGoOn(run: PartitionRun, payload: EachBatchPayload): boolean {
    return (
      !this.#context.halted() &&
      payload.isRunning() &&
      !payload.isStale() &&
      this.#context.membership.owns(run.key)
    );
  }

  async #conclude(run: PartitionRun, payload: EachBatchPayload): Promise<void> {
    const { paused, failures, membership } = this.#context;
    const owned = membership.owns(run.key) && !run.aborted;
    if (owned) run.resolve();
    if (run.inFlight > 0 || run.failure !== null) {
      paused.pause(run);
    } else if (run.position > run.startOffset) {
      failures.clear(run.key);
    }
    if (!owned) return;
    this.#context.onBatch?.({
      topic: run.topic,
      partition: run.partition,
      highWatermark: Number(payload.batch.highWatermark),
      lastOffset: run.position - 1,
    });
    if (!(await paused.commit(run)) && !paused.has(run.key)) paused.pause(run);
  }
}

async function heartbeat(payload: EachBatchPayload): Promise<Problem | null> {
  try {
    await payload.heartbeat();
    return null;
  } catch (error) {
    return { error };
  }
}
