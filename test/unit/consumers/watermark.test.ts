import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Watermark } from '../../../consumers/watermark.js';

function begun(start: number, offsets: readonly number[]): Watermark {
  const watermark = new Watermark(start);
  for (const offset of offsets) watermark.begin(offset);
  return watermark;
}

describe('Watermark', () => {
  it('stays before the first unfinished record, whatever finishes behind it', () => {
    const watermark = begun(10, [10, 11, 12]);
    watermark.complete(12);
    watermark.complete(11);
    expect(watermark.position).toBe(10);
    watermark.complete(10);
    expect(watermark.position).toBe(13);
  });

  it('passes gaps between records', () => {
    const watermark = begun(3, [3, 7, 20]);
    watermark.complete(7);
    watermark.complete(3);
    expect(watermark.position).toBe(8);
  });

  it('passes the gap behind the last record only when everything is finished', () => {
    const watermark = begun(0, [0, 1]);
    watermark.end(5);
    watermark.complete(1);
    expect(watermark.position).toBe(0);
    watermark.complete(0);
    expect(watermark.position).toBe(5);
  });

  it('refuses offsets that do not rise: going back would lose records', () => {
    const watermark = begun(5, [5]);
    expect(() => watermark.begin(5)).toThrow(RangeError);
    watermark.complete(5);
    expect(() => watermark.begin(4)).toThrow(RangeError);
  });

  it('never passes an unfinished record and never goes back, in any order', () => {
    const offsets = fc
      .uniqueArray(fc.nat(200), { minLength: 1, maxLength: 40 })
      .map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(
        offsets.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list))),
        ([list, done]) => {
          const watermark = begun(list[0] ?? 0, list);
          const open = new Set(list);
          let last = watermark.position;
          for (const offset of done) {
            watermark.complete(offset);
            open.delete(offset);
            expect(watermark.position).toBeGreaterThanOrEqual(last);
            last = watermark.position;
            const firstOpen = Math.min(...open);
            expect(watermark.position).toBeLessThanOrEqual(firstOpen);
            const before = list.filter((each) => each < firstOpen).at(-1);
            if (before !== undefined) expect(watermark.position).toBe(before + 1);
          }
        },
      ),
    );
  });
});
