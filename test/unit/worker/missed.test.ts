import { expect, it } from 'vitest';
import { judgePosition } from '../../../src/kafka/topic-checks.js';
import { findMissed } from '../../../src/worker/missed.js';

const AT = { atMs: 1, first: 60 };
const facts = (low: number, high: number, committed: number | null, first = high) => ({
  ...{ low, high, committed },
  fromTimes: new Map([[1, first]]),
});

it.each([
  ['in step', facts(0, 90, 60), AT, null],
  ['at the end', facts(0, 60, 60), AT, null],
  ['new', facts(7, 90, null), null, null],
  ['with a log that was cut at its beginning', facts(80, 90, 85, 80), AT, null],
  ['whose records expired', facts(15, 20, 5), null, { reason: 'expired', from: 5, to: 15 }],
  ['behind the end of the log', facts(0, 10, 60), null, { reason: 'recreated', from: 0, to: 10 }],
  ['in another log of the same name', facts(0, 90, 90, 0), AT, { reason: 'recreated', from: 0, to: 90 }],
  ['whose offsets went with the topic', facts(0, 90, null, 0), AT, { reason: 'recreated', from: 0, to: 60 }],
] as const)('a group %s', (_, given, before, missed) => {
  expect(findMissed(given, before)).toEqual(missed);
});

it('topics check says the same about a group whose offset is outside the log', () => {
  const at = { topic: 't', partition: 2 };
  expect(judgePosition({ ...at, low: 0, high: 9, committed: 9 })).toEqual([]);
  expect(judgePosition({ ...at, low: 5, high: 9, committed: null })).toEqual([]);
  const [expired] = judgePosition({ ...at, low: 15, high: 20, committed: 5 });
  expect(expired).toMatchObject({ severity: 'warning', topic: 't' });
  expect(expired?.problem).toContain('the offsets 5 to 14 (10 records)');
  const [cut] = judgePosition({ ...at, low: 0, high: 9, committed: 60 });
  expect(cut?.problem).toContain('the group has read up to 60, the log ends at 9');
});
