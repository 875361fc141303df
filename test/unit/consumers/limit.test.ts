import { expect, it } from 'vitest';
import { Limit } from '../../../consumers/limit.js';
import { weightOf } from '../../../src/transport.js';

it('a record takes one place, and one more for each 64 KiB', () => {
  expect(
    [null, 0, 65_535, 65_536, 2 * 1024 * 1024].map((size) =>
      weightOf(size === null ? null : Buffer.alloc(size)),
    ),
  ).toEqual([1, 1, 1, 2, 33]);
});

it('takes records until all places are taken', () => {
  const limit = new Limit(40);
  expect([33, 8, 7, 1].map((weight) => limit.tryTake(weight))).toEqual([true, false, true, false]);
  limit.release(7);
  expect(limit.tryTake(8)).toBe(false);
  limit.release(33);
  expect(limit.tryTake(8)).toBe(true);
});

it('takes a record over the limit when nothing else is in flight', () => {
  const limit = new Limit(4);
  expect([33, 1].map((weight) => limit.tryTake(weight))).toEqual([true, false]);
  limit.release(33);
  expect([1, 33].map((weight) => limit.tryTake(weight))).toEqual([true, false]);
});
