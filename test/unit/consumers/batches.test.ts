import type { EachBatchPayload, KafkaMessage } from 'kafkajs';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { Batches } from '../../../consumers/batches.js';
import { PartitionFailures } from '../../../consumers/failures.js';
import { PausedPartitions } from '../../../consumers/paused-partitions.js';
import type { PartitionControl } from '../../../consumers/paused-partitions.js';
import { Membership } from '../../../consumers/membership.js';
import { WakeUp, Limit } from '../../../consumers/limit.js';
import type { RecordOutcome } from '../../../src/terms.js';

interface Call {
  readonly offset: number;
  readonly signal: AbortSignal;
  finish(error?: Error): void;
}

function message(offset: number): KafkaMessage {
  const text = { timestamp: '0', attributes: 0, offset: String(offset), headers: {} };
  return { ...text, key: null, value: null };
}

const staleGeneration = (): Error =>
  Object.assign(new Error('stale'), { name: 'KafkaJSProtocolError', type: 'ILLEGAL_GENERATION' });

/** The consumer's inside without a broker: what is told to kafkajs is written down. */
function inside(options: { heartbeat?: () => Promise<void>; commit?: () => Promise<void> } = {}) {
  const told: string[] = [];
  const calls: Call[] = [];
  const fatal: WorkerError[] = [];
  const membership = new Membership();
  membership.join({ t: [0, 1] });
  const logger = pino({ level: 'silent' });
  const failures = new PartitionFailures(logger, { minMs: 100, maxMs: 100 });
  const wakeUp = new WakeUp();
  const shared = {
    membership,
    failures,
    wakeUp,
    logger,
    halted: () => false,
    onFatal: (e: WorkerError) => fatal.push(e),
  };
  const control: PartitionControl = {
    pause: () => told.push('pause'),
    resume: () => told.push('resume'),
    seek: (_of, offset) => told.push(`seek ${offset}`),
  };
  const paused = new PausedPartitions({ ...shared, control });
  const handler = {
    handle: async (record: { offset: number }, signal: AbortSignal): Promise<RecordOutcome> =>
      new Promise((resolve, reject) => {
        const finish = (error?: Error): void => (error === undefined ? resolve('applied') : reject(error));
        calls.push({ offset: record.offset, signal, finish });
      }),
  };
  const run = { handler, wakeUp, limit: new Limit(8), onFatal: shared.onFatal };
  const batches = new Batches({ ...shared, control, run, paused });
  const batch = (offsets: readonly number[], lastOffset = offsets.at(-1)): Promise<void> => {
    const payload: EachBatchPayload = {
      batch: {
        ...{ topic: 't', partition: 0, highWatermark: '100', messages: offsets.map(message) },
        isEmpty: () => false,
        firstOffset: () => String(offsets[0]),
        lastOffset: () => String(lastOffset),
        offsetLag: () => '0',
        offsetLagLow: () => '0',
      },
      resolveOffset: (offset) => told.push(`resolve ${offset}`),
      commitOffsetsIfNecessary: async (offsets_) => {
        told.push(`commit ${offsets_?.topics[0]?.partitions[0]?.offset}`);
        return options.commit?.();
      },
      heartbeat: options.heartbeat ?? (async () => Promise.resolve()),
      pause: () => () => undefined,
      uncommittedOffsets: () => ({ topics: [] }),
      isRunning: () => true,
      isStale: () => false,
    };
    return batches.handle(payload);
  };
  return { told, calls, fatal, membership, batches, paused, failures, batch };
}

describe('a batch', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('commits up to its end, gap included, when all records are handled', async () => {
    const { told, calls, batch } = inside();
    const handled = batch([4, 6], 9);
    for (const call of calls) call.finish();
    await handled;
    expect(told).toEqual(['resolve 9', 'commit 10']);
  });

  it('pauses its partition after a failed commit, until the commit succeeds', async () => {
    const commit = vi.fn<() => Promise<void>>().mockRejectedValueOnce(staleGeneration());
    const { told, calls, batch } = inside({ commit });
    const handled = batch([0, 1]);
    for (const call of calls) call.finish();
    await handled;
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(['resolve 1', 'commit 2', 'pause', 'commit 2', 'seek 2', 'resume']);
  });

  it('is read again from its start if its end cannot be committed: perhaps no later commit would cover it', async () => {
    const commit = vi.fn<() => Promise<void>>().mockRejectedValue(staleGeneration());
    const { told, calls, batch } = inside({ commit });
    const handled = batch([0, 1]);
    for (const call of calls) call.finish();
    await handled;
    await vi.advanceTimersByTimeAsync(100);
    expect(told.splice(0)).toEqual(['resolve 1', 'commit 2', 'pause', 'commit 2']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(told).toEqual(['seek 0', 'resume']);
  });

  it('is aborted when another member gets its partition: no resolve, no commit, no seek', async () => {
    const { told, calls, membership, batches, paused, batch } = inside();
    const handled = batch([0, 1]);
    calls[0]?.finish();
    await vi.advanceTimersByTimeAsync(300);
    membership.join({ t: [1] });
    batches.reassigned();
    paused.reassigned();
    await vi.advanceTimersByTimeAsync(300);
    await handled;
    expect(calls[1]?.signal.aborted).toBe(true);
    // It fails because it was told to stop: nobody has to hear of that.
    calls[1]?.finish(new Error('aborted'));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(told).toEqual(['pause', 'resume']);
  });

  it('is not begun a second time while its first records are still in flight', async () => {
    const { calls, membership, batches, paused, batch } = inside();
    const handled = batch([0]);
    await vi.advanceTimersByTimeAsync(2_300);
    await handled;
    membership.join({ t: [1] });
    batches.reassigned();
    paused.reassigned();
    membership.join({ t: [0, 1] });
    paused.reassigned();
    await batch([0]);
    expect(calls).toHaveLength(1);
    calls[0]?.finish();
    await vi.advanceTimersByTimeAsync(10);
    void batch([0]);
    expect(calls).toHaveLength(2);
  });

  it('waits for records in flight at a rebalance, commits, and tells kafkajs', async () => {
    const rebalance = Object.assign(new Error('rebalance'), { type: 'REBALANCE_IN_PROGRESS' });
    const { told, calls, batch } = inside({ heartbeat: async () => Promise.reject(rebalance) });
    const handled = batch([0, 1]).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(500);
    for (const call of calls) call.finish();
    expect(await handled).toBe(rebalance);
    expect(told).toEqual(['resolve 1', 'commit 2']);
  });

  it('commits up to a failing record, pauses its partition, and is read again from there', async () => {
    const { told, calls, failures, batch } = inside();
    const handled = batch([0, 1, 2]);
    calls[0]?.finish();
    calls[1]?.finish(new WorkerError('DATABASE_UNAVAILABLE', 'away'));
    await vi.advanceTimersByTimeAsync(10);
    await handled;
    expect(told).toEqual(['resolve 0', 'pause', 'commit 1']);
    expect(failures.list()).toMatchObject([{ code: 'DATABASE_UNAVAILABLE', offset: 1, attempts: 1 }]);
    // The third is still under way: the partition waits for it, then for its backoff.
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).not.toContain('resume');
    calls[2]?.finish();
    await vi.advanceTimersByTimeAsync(150);
    expect(told.slice(3)).toEqual(['seek 1', 'resume']);
  });

  it('stops at an error that no retry cures', async () => {
    const { told, calls, fatal, batch } = inside();
    const handled = batch([0, 1]);
    calls[1]?.finish(new WorkerError('INTERNAL', 'defect'));
    calls[0]?.finish();
    await vi.advanceTimersByTimeAsync(10);
    await handled;
    expect(fatal).toMatchObject([{ code: 'INTERNAL' }]);
    expect(told).toEqual(['resolve 0', 'commit 1']);
  });
});
