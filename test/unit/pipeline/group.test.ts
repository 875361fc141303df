import { describe, expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { Group } from '../../../src/pipeline/group.js';

const transient = (): Error => new WorkerError('DATABASE_UNAVAILABLE', 'x');
const settledOf = async (promises: Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(promises)).map((result) =>
    result.status === 'fulfilled' ? String(result.value) : `! ${(result.reason as Error).message}`,
  );

describe('a group', () => {
  it('makes one call of what comes together, and another of what comes meanwhile', async () => {
    const calls: number[][] = [];
    const group = new Group<number, number>((items) => {
      calls.push([...items]);
      return Promise.resolve(items.map((item) => item * 2));
    }, 2);
    expect(await Promise.all([1, 2, 3].map((item) => group.add(item)))).toEqual([2, 4, 6]);
    expect(await group.add(4)).toBe(8);
    expect(calls).toEqual([[1, 2], [3], [4]]);
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
