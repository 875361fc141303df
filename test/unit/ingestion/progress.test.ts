import { describe, expect, it } from 'vitest';
import { Progress } from '../../../consumers/progress.js';
import { Turns } from '../../../src/ingestion/turns.js';

const nothing = (): void => undefined;

describe('the progress of a partition', () => {
  it('commits only what everything before is done of, gaps included', () => {
    const progress = new Progress('t', 0, 10);
    const [ten, twelve, thirteen] = [10, 12, 13].map((offset) => progress.begin(offset, nothing));
    progress.end(20);
    expect(progress.open).toBe(3);
    thirteen?.();
    expect(progress.toCommit).toBeNull();
    ten?.();
    expect(progress.toCommit).toBe(11);
    progress.committed(11);
    expect(progress.toCommit).toBeNull();
    twelve?.();
    expect(progress.toCommit).toBe(20);
    expect(progress.open).toBe(0);
    expect([13, 14].map((offset) => progress.isRead(offset))).toEqual([true, false]);
  });
});

describe('turns', () => {
  it('come in order, so many at a time, and not at all once closed', async () => {
    const turns = new Turns(1);
    const order: string[] = [];
    expect(await turns.take()).toBe(true);
    const waiting = ['a', 'b', 'c'].map(async (name) => order.push(`${name} ${await turns.take()}`));
    turns.give();
    await waiting[0];
    expect(order).toEqual(['a true']);
    turns.close();
    await Promise.all(waiting);
    expect(order).toEqual(['a true', 'b false', 'c false']);
    turns.give();
    expect(await turns.take()).toBe(false);
  });
});
