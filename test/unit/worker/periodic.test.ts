import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { Periodic, type PeriodicTask } from '../../../src/worker/periodic.js';
import { Readiness } from '../../../src/worker/readiness.js';
import { readinessChecks } from '../../../src/worker/checks.js';
import { untilAvailable } from '../../../src/worker/until-available.js';
import { withDeadline } from '../../../src/with-deadline.js';

const away = new WorkerError('DATABASE_UNAVAILABLE', 'away');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function periodic(run: PeriodicTask['run'], everyMs = 1_000) {
  const failures: WorkerError[] = [];
  const fatal: unknown[] = [];
  const task = new Periodic(
    { name: 'task', everyMs, run },
    { onFailure: (_name, error) => failures.push(error), onFatal: (_name, error) => fatal.push(error) },
  );
  return { task, failures, fatal };
}

describe('Periodic', () => {
  it('runs at once, then again and again, give or take a tenth', async () => {
    const run = vi.fn(async () => undefined);
    const { task } = periodic(run);
    task.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(899);
    expect(run).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(10_100);
    expect(run.mock.calls.length).toBeGreaterThanOrEqual(10);
    expect(run.mock.calls.length).toBeLessThanOrEqual(13);
    await task.stop();
  });

  it('never runs twice at the same time, and remembers a trigger during a run', async () => {
    let running = 0;
    const ends: (() => void)[] = [];
    const run = vi.fn(async () => {
      running += 1;
      expect(running).toBe(1);
      await new Promise<void>((resolve) => ends.push(resolve));
      running -= 1;
    });
    const { task } = periodic(run, 1_000_000);
    task.start();
    task.trigger();
    task.trigger();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(run).toHaveBeenCalledTimes(1);
    ends.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(2);
    ends.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(2);
    task.trigger();
    await vi.advanceTimersByTimeAsync(0);
    expect(run).toHaveBeenCalledTimes(3);
    ends.shift()?.();
    await task.stop();
  });

  it('backs off after transient errors and recovers', async () => {
    let isAway = true;
    const run = vi.fn(async () => {
      if (isAway) throw away;
    });
    const { task, failures, fatal } = periodic(run, 100);
    task.start();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(failures.length).toBeGreaterThan(5);
    expect(failures.length).toBeLessThan(100);
    isAway = false;
    const before = run.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(run.mock.calls.length - before).toBeGreaterThan(200);
    expect(fatal).toEqual([]);
    await task.stop();
  });

  it.each([new WorkerError('MANAGER_MISMATCH', 'x'), new TypeError('x')])('ends at %s', async (error) => {
    const run = vi.fn(() => Promise.reject(error));
    const { task, fatal } = periodic(run);
    task.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(run).toHaveBeenCalledTimes(1);
    expect(fatal).toEqual([error]);
    await task.stop();
  });

  it('aborts the present run and waits for its end', async () => {
    const { task, failures, fatal } = periodic(
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(away));
        }),
    );
    task.start();
    await task.stop();
    expect([failures, fatal]).toEqual([[], []]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('untilAvailable', () => {
  it('retries transient errors, and throws all others', async () => {
    const work = vi.fn<() => Promise<string>>().mockRejectedValueOnce(away).mockRejectedValueOnce(away);
    work.mockResolvedValueOnce('there');
    const onFailure = vi.fn();
    const result = untilAvailable(work, { signal: new AbortController().signal, onFailure });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await result).toBe('there');
    expect(onFailure).toHaveBeenCalledTimes(2);
    const wrong = new WorkerError('KEY_MISMATCH', 'x');
    await expect(
      untilAvailable(() => Promise.reject(wrong), { signal: new AbortController().signal, onFailure }),
    ).rejects.toBe(wrong);
  });

  it('gives up when told to', async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const work = vi.fn(() => Promise.reject(away));
    const result = untilAvailable(work, { signal, onFailure: () => undefined });
    const givenUp = expect(result).rejects.toHaveProperty('name', 'AbortError');
    await vi.advanceTimersByTimeAsync(1_000);
    const tries = work.mock.calls.length;
    stop.abort();
    await givenUp;
    expect(work).toHaveBeenCalledTimes(tries);
  });
});

describe('readiness', () => {
  function checked(joined = true) {
    const changes: string[] = [];
    const readiness = new Readiness((part, state) => changes.push(`${part} ${state}`));
    const state = {
      database: () => Promise.resolve(),
      broker: () => Promise.resolve(),
      failing: [] as {
        topic: string;
        partition: number;
        offset: number;
        code: 'STORE_ACCESS';
        sinceMs: number;
        attempts: number;
      }[],
      storeChecks: 0,
      storeOk: true,
    };
    const tasks = readinessChecks({
      readiness,
      pingDatabase: () => state.database(),
      pingBroker: () => state.broker(),
      store: {
        check: async () => {
          state.storeChecks += 1;
          return state.storeOk
            ? { ok: true, value: { detail: '' } }
            : { ok: false, error: { class: 'access', code: 'STORE_ACCESS', applied: 'no', message: 'x' } };
        },
      } as never,
      consumer: () => ({ joined, partitions: [], failing: state.failing }),
      onPaused: () => undefined,
    });
    const look = () => Promise.all(tasks.map((task) => task.run(new AbortController().signal)));
    return { readiness, state, look, changes };
  }

  it('is ready when every part is up, and says since when', async () => {
    const { readiness, look, changes } = checked();
    readiness.phase = 'running';
    expect(readiness.report().ready).toBe(false);
    await look();
    expect(readiness.report().ready).toBe(true);
    const since = readiness.report().parts.map((part) => part.since);
    await vi.advanceTimersByTimeAsync(60_000);
    await look();
    expect(readiness.report().parts.map((part) => part.since)).toEqual(since);
    expect(changes).toHaveLength(4);
    readiness.phase = 'stopping';
    expect(readiness.report().ready).toBe(false);
  });

  it('does not hang if a part does not answer', async () => {
    const { readiness, state, look } = checked();
    readiness.phase = 'running';
    state.database = () => new Promise(() => undefined);
    const looking = look();
    await vi.advanceTimersByTimeAsync(5_000);
    await looking;
    expect(readiness.report().parts).toContainEqual(
      expect.objectContaining({ part: 'database', state: 'down', code: 'DATABASE_UNAVAILABLE' }),
    );
  });

  it('is not ready while a record fails, and names the code', async () => {
    const { readiness, state, look } = checked();
    readiness.phase = 'running';
    state.failing = [{ topic: 't', partition: 0, offset: 1, code: 'STORE_ACCESS', sinceMs: 0, attempts: 1 }];
    await look();
    expect(readiness.report()).toMatchObject({ ready: false });
    expect(readiness.report().parts).toContainEqual(
      expect.objectContaining({ part: 'consumer', state: 'down', code: 'STORE_ACCESS' }),
    );
    state.failing = [];
    await look();
    expect(readiness.report().ready).toBe(true);
  });

  it('checks a store that is up every half minute, and one that is down each time', async () => {
    const { state, look } = checked();
    for (let second = 0; second < 60; second += 5) {
      await look();
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(state.storeChecks).toBe(2);
    state.storeOk = false;
    await vi.advanceTimersByTimeAsync(30_000);
    await look();
    await look();
    await look();
    expect(state.storeChecks).toBe(5);
  });
});

it('withDeadline aborts late work', async () => {
  let seen: AbortSignal | undefined;
  const late = withDeadline(
    (signal) => {
      seen = signal;
      return new Promise(() => undefined);
    },
    100,
    () => away,
  );
  const outcome = expect(late).rejects.toBe(away);
  await vi.advanceTimersByTimeAsync(100);
  await outcome;
  expect(seen?.aborted).toBe(true);
  expect(
    await withDeadline(
      () => Promise.resolve(1),
      100,
      () => away,
    ),
  ).toBe(1);
});
