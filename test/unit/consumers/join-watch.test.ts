import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WorkerError } from '../../../src/errors.js';
import { BrokerTimeout } from '../../../src/kafka/deadline.js';
import { JoinWatch } from '../../../consumers/join-watch.js';
import type { JoinWatchOptions } from '../../../consumers/join-watch.js';

describe('JoinWatch', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function watch(changes: Partial<JoinWatchOptions>): { fatal: WorkerError[]; watch: JoinWatch } {
    const fatal: WorkerError[] = [];
    const joinWatch = new JoinWatch({
      joined: () => false,
      waiting: () => false,
      lastError: () => 'GROUP_AUTHORIZATION_FAILED',
      probe: async () => Promise.resolve(),
      timeoutMs: 60_000,
      intervalMs: 5_000,
      onFatal: (error) => fatal.push(error),
      ...changes,
    });
    joinWatch.start();
    return { fatal, watch: joinWatch };
  }

  it('calls onFatal if the consumer cannot join although the broker answers, with the last error', async () => {
    const { fatal } = watch({});
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fatal).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(fatal[0]?.message).toContain('60 s (GROUP_AUTHORIZATION_FAILED)');
    expect(fatal[0]?.code).toBe('BROKER_ACCESS');
  });

  it('reports a defect if the broker has refused nothing', async () => {
    const { fatal } = watch({ lastError: () => null });
    await vi.advanceTimersByTimeAsync(70_000);
    expect(fatal[0]?.code).toBe('INTERNAL');
  });

  it('treats a refusal of the broker as an answer', async () => {
    const refused = Object.assign(new Error(), { name: 'KafkaJSSASLAuthenticationError' });
    const { fatal } = watch({ probe: async () => Promise.reject(refused) });
    await vi.advanceTimersByTimeAsync(70_000);
    expect(fatal.length).toBeGreaterThan(0);
  });

  it.each([
    ['nobody answers', { probe: async () => Promise.reject(new BrokerTimeout()) }],
    ['the coordinator is starting', { waiting: () => true }],
    ['it is a member', { joined: () => true }],
  ])('waits for ever where %s', async (_title, changes) => {
    const { fatal } = watch(changes);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(fatal).toEqual([]);
  });

  it('starts counting again after the broker was unreachable', async () => {
    let calls = 0;
    const probe = async (): Promise<void> =>
      (calls += 1) === 8 ? Promise.reject(new BrokerTimeout()) : Promise.resolve();
    const { fatal } = watch({ probe });
    await vi.advanceTimersByTimeAsync(100_000);
    expect(fatal).toEqual([]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(fatal.length).toBeGreaterThan(0);
  });

  it('says nothing after it is stopped', async () => {
    const { fatal, watch: joinWatch } = watch({});
    await vi.advanceTimersByTimeAsync(30_000);
    joinWatch.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fatal).toEqual([]);
  });
});
