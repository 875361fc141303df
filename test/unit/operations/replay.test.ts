import { describe, expect, it } from 'vitest';
import { planPositions } from '../../../src/operations/replay/plan.js';
import { ReplayPositions } from '../../../src/operations/replay/positions.js';
import { UnaskedStore } from '../../../src/operations/replay/dry-run/store.js';
import { isChosen } from '../../../src/operations/replay/filter.js';
import type { SourceRecord } from '../../../src/terms.js';

const AT = { topic: 't', partition: 0 };
const TOPICS = { created: 't', updated: 'u', deleted: 'd' };
const ALL = { topics: null, partitions: null, connectionIds: null, kinds: null };

describe('positions of a replay', () => {
  const positions = (clock?: () => number) =>
    new ReplayPositions([{ ...AT, from: 5, position: 5, end: 10 }], clock);

  it('never go back, nor beyond the end, and a partition that was not selected has nothing to read', () => {
    const its = positions();
    its.advance(AT, 8);
    its.advance(AT, 6);
    expect([its.position(AT), its.done, its.total, its.isDone]).toEqual([8, 3, 5, false]);
    its.advance(AT, 99);
    expect([its.position(AT), its.done, its.isDone]).toEqual([10, 5, true]);
    expect(its.end({ topic: 't', partition: 1 })).toBe(0);
    its.advance({ topic: 't', partition: 1 }, 3);
    expect(its.list()).toHaveLength(1);
  });

  it('do not wait for records that Kafka has deleted', () => {
    const deleted = positions();
    deleted.withoutDeleted({ ...AT, low: 7, high: 12, fromTime: null });
    expect([deleted.position(AT), deleted.isDone]).toEqual([7, false]);
    deleted.withoutDeleted({ ...AT, low: 11, high: 12, fromTime: null });
    expect([deleted.position(AT), deleted.isDone]).toEqual([10, true]);
    const cut = positions();
    cut.withoutDeleted({ ...AT, low: 0, high: 2, fromTime: null });
    expect([cut.total, cut.isDone]).toEqual([0, true]);
    expect(cut.deleted({ ...AT, low: 0, high: 2, fromTime: null })).toBe(5);
  });

  it('distinguish deleted records from offsets that never had a record', () => {
    const its = positions();
    expect(its.hasGaps).toBe(false);
    // Twice: the record behind the gap failed, and comes again.
    its.skipTo(AT, 7);
    its.skipTo(AT, 7);
    its.advance(AT, 8);
    its.skipTo(AT, 99);
    its.advance(AT, 10);
    expect(its.hasGaps).toBe(true);
    const deletedBelow = (low: number): number => its.deleted({ ...AT, low, high: 12, fromTime: null });
    expect([0, 6, 7, 8, 9, 12].map(deletedBelow)).toEqual([0, 1, 2, 2, 3, 4]);
    expect(its.deleted({ topic: 't', partition: 1, low: 99, high: 99, fromTime: null })).toBe(0);
  });

  it('are stalled after a while without progress', () => {
    let nowMs = 0;
    const its = positions(() => nowMs);
    nowMs = 900;
    its.advance(AT, 6);
    nowMs = 1_500;
    expect(its.stalled(1_000)).toEqual([]);
    nowMs = 1_900;
    expect(its.stalled(1_000)).toHaveLength(1);
  });
});

describe('the plan of a replay', () => {
  const range = { ...AT, low: 3, high: 9, fromTime: 6 };

  it.each([
    [{ kind: 'beginning' } as const, 3],
    [{ kind: 'offset', offset: 1 } as const, 3],
    [{ kind: 'offset', offset: 4 } as const, 4],
    [{ kind: 'offset', offset: 99 } as const, 9],
    [{ kind: 'time', timeMs: 1 } as const, 6],
  ])('%j begins at %i', (start, from) => {
    expect(planPositions([range], { start, selection: ALL })).toEqual([
      { ...AT, from, position: from, end: 9 },
    ]);
  });

  it('names partitions that no topic has', () => {
    expect(() =>
      planPositions([range], { start: { kind: 'beginning' }, selection: { ...ALL, partitions: [0, 4] } }),
    ).toThrow('no selected topic has partition 4');
  });
});

describe('the filter of a replay', () => {
  const record = (value: string | null, key = 'one'): SourceRecord => ({
    ...AT,
    offset: 0,
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: {},
    timestampMs: 1,
  });

  it('leaves out tombstones, and unreadable records if a kind is selected', () => {
    expect(isChosen(record(null), ALL, TOPICS, 1)).toBe(true);
    expect(isChosen(record(null), { ...ALL, connectionIds: ['one'] }, TOPICS, 1)).toBe(false);
    expect(isChosen(record('{'), { ...ALL, connectionIds: ['one'] }, TOPICS, 1)).toBe(true);
    expect(isChosen(record('{'), { ...ALL, connectionIds: ['two'] }, TOPICS, 1)).toBe(false);
    expect(isChosen(record('{'), { ...ALL, kinds: ['database'] }, TOPICS, 1)).toBe(false);
  });
});

describe('the store of a dry run', () => {
  it('gives each write its own version, answers its check, and knows nothing', async () => {
    const store = new UnaskedStore();
    const [first, second] = await Promise.all(
      ['a', 'b'].map((secretId) => store.put([{ secretId, known: false } as never])),
    );
    expect(first).not.toEqual(second);
    expect(await store.check()).toMatchObject({ ok: true });
    expect(await store.describe()).toMatchObject({ ok: false });
    expect(await store.restore()).toMatchObject({ ok: false });
  });
});
