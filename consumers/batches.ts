import type { EachBatchHandler, EachBatchPayload } from 'kafkajs';
import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey } from '../src/kafka/partitions.js';
import type { PartitionFailures } from './failures.js';
import type { Membership } from './membership.js';
import { PartitionRun } from './partition-run.js';
import type { RunContext } from './partition-run.js';
import type { PartitionControl, PausedPartitions } from './paused-partitions.js';

/** How far this worker has come in a partition, for the lag. `lastOffset` is the last finished record. */
export interface BatchReport {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: number;
  readonly lastOffset: number;
}

interface BatchesContext {
  readonly run: RunContext;
  readonly control: Pick<PartitionControl, 'pause'>;
  readonly paused: PausedPartitions;
  readonly failures: PartitionFailures;
  readonly membership: Membership;
  readonly halted: () => boolean;
  readonly onBatch?: ((report: BatchReport) => void) | undefined;
}

/** A run begins records for `TAKE_MS`. At `HAND_OVER_MS` it pauses its partition if records are still in flight. */
const TAKE_MS = 1_800;
const HAND_OVER_MS = 2_200;
/** When the group begins a rebalance, the records in flight have this long to finish. */
const DRAIN_MS = 2_000;
const TICK_MS = 200;

interface Problem {
  readonly error: unknown;
}

/**
 * Handles the batches that kafkajs fetches. A call handles what it can finish in about two seconds and returns; kafkajs
 * fetches the rest again. If a record failed, or is not finished or committed by then, the call pauses the partition
 * (see {@link PausedPartitions}). The other partitions go on.
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
    if (this.#isPastRange(payload) || paused.has(key) || this.#context.halted()) {
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

  /** Called after each join: aborts the runs of partitions that other members have now. */
  reassigned(): void {
    for (const run of this.#active) {
      if (!this.#context.membership.owns(run.key)) run.abort();
    }
  }

  /** Aborts the runs of a partition that will be read from another offset. */
  drop(key: PartitionKey): void {
    for (const run of this.#active) if (run.key === key) run.abort();
  }

  /** Whether the batch begins after the end of the range. Then everything before the end is read. */
  #isPastRange({ batch: { topic, partition, messages } }: EachBatchPayload): boolean {
    const { range } = this.#context.run;
    if (range === undefined) return false;
    const end = range.end({ topic, partition });
    if (Number(messages[0]?.offset ?? 0) < end) return false;
    range.skipTo({ topic, partition }, end);
    range.advance({ topic, partition }, end);
    return true;
  }

  /** @returns the error of a heartbeat. The caller throws it, so that kafkajs rejoins the group */
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
