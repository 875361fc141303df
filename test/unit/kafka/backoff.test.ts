import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../src/kafka/backoff.js';

const OPTIONS = { minMs: 100, maxMs: 30_000 };
const almostOne = 1 - Number.EPSILON;

describe('backoffMs', () => {
  it('never waits less than the minimum', () => {
    expect([1, 5, 50].map((attempt) => backoffMs(attempt, OPTIONS, () => 0))).toEqual([100, 100, 100]);
  });

  it('doubles its ceiling with each attempt, up to the maximum', () => {
    const ceilings = [1, 2, 3, 8, 9, 2_000].map((attempt) => backoffMs(attempt, OPTIONS, () => almostOne));
    expect(ceilings).toEqual([200, 400, 800, 25_600, 30_000, 30_000]);
  });

  it('spreads over the whole range', () => {
    expect(backoffMs(3, OPTIONS, () => 0.5)).toBe(450);
  });
});
