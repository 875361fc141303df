import { describe, expect, it, vi } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { Group, type GroupOptions } from '../../../src/pipeline/group.js';

const transient = (): Error => new WorkerError('DATABASE_UNAVAILABLE', 'x');
const settledOf = async (promises: Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(promises)).map((result) =>
    result.status === 'fulfilled' ? String(result.value) : `! ${(result.reason as Error).message}`,
  );

describe('a group', () => {
  /** Calls that answer when they are told to. */
  function calling(options?: GroupOptions) {
    const calls: number[][] = [];
    const answers: (() => void)[] = [];
    const group = new Group<number, number>((items) => {
      calls.push([...items]);
      return new Promise((resolve) => answers.push(() => resolve(items.map((item) => item * 2))));
    }, options);
    const called = (count: number): Promise<void> =>
      vi.waitFor(() => expect(calls).toHaveLength(count), { timeout: 5_000, interval: 1 });
    return { calls, answers, group, called };
  }

  it('makes one call of what comes together, and another of what comes meanwhile', async () => {
    const { calls, answers, group, called } = calling();
    const first = [1, 2, 3].map((item) => group.add(item));
    await called(1);
    const second = [4, 5].map((item) => group.add(item));
    answers[0]?.();
    expect(await Promise.all(first)).toEqual([2, 4, 6]);
    await called(2);
    answers[1]?.();
    expect(await Promise.all(second)).toEqual([8, 10]);
    expect(calls).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  it('has as many calls under way as it has lines', async () => {
    const { calls, answers, group, called } = calling({ lines: 2 });
    const all = [group.add(1)];
    await called(1);
    all.push(group.add(2));
    await called(2);
    all.push(group.add(3), group.add(4));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(calls).toEqual([[1], [2]]);
    answers[1]?.();
    await called(3);
    for (const answer of answers) answer();
    expect(await Promise.all(all)).toEqual([2, 4, 6, 8]);
    expect(calls).toEqual([[1], [2], [3, 4]]);
  });

  it('waits a moment for more where many are under way, not for all, and never alone', async () => {
    vi.useFakeTimers();
    try {
      let underWay = 60;
      const { calls, group } = calling({ lines: 9, underWay: () => underWay });
      void group.add(1);
      await vi.advanceTimersByTimeAsync(5);
      expect(calls).toEqual([]);
      void group.add(2);
      await vi.advanceTimersByTimeAsync(5);
      expect(calls).toEqual([[1, 2]]);
      for (let item = 3; item <= 22; item += 1) void group.add(item);
      await vi.advanceTimersByTimeAsync(0);
      expect(calls[1]).toHaveLength(20);
      underWay = 3;
      void group.add(23);
      await vi.advanceTimersByTimeAsync(0);
      expect(calls[2]).toEqual([23]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('does not take an answer that is short of results', async () => {
    const group = new Group<number, number>((items) => Promise.resolve(items.slice(1)));
    expect(await settledOf([group.add(1)])).toEqual(['! 1 items were answered with 0 results']);
  });

  it('tries each alone after a failure that may be one item’s', async () => {
    const calls: number[][] = [];
    const group = new Group<number, number>((items) => {
      calls.push([...items]);
      return items.includes(2) ? Promise.reject(new Error('poison')) : Promise.resolve(items);
    });
    expect(await settledOf([1, 2, 3].map((item) => group.add(item)))).toEqual(['1', '! poison', '3']);
    expect(calls).toEqual([[1, 2, 3], [1], [2], [3]]);
  });

  it.each(['unique', 'locked'])('also where it is passing, but one item’s: %s', async (failure) => {
    const group = new Group<number, number>((items) =>
      items.includes(2) ? Promise.reject(Object.assign(transient(), { failure })) : Promise.resolve(items),
    );
    expect(await settledOf([1, 2, 3].map((item) => group.add(item)))).toEqual(['1', '! x', '3']);
  });

  it('does not when what failed is everybody’s, and works again afterwards', async () => {
    let calls = 0;
    const group = new Group<number, number>((items) => {
      calls += 1;
      return calls === 1 ? Promise.reject(transient()) : Promise.resolve(items);
    });
    expect(await settledOf([1, 2].map((item) => group.add(item)))).toEqual(['! x', '! x']);
    expect(calls).toBe(1);
    expect(await group.add(3)).toBe(3);
  });
});
