import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fairShares, takeShare, type WriteShare } from '../../../src/secrets-managers/fair-share.js';

const AT = { nowMs: 10_000, leaseMs: 3_000 };

function share(process: string, more: Partial<WriteShare> = {}): WriteShare {
  return { process, limit: 20, wanted: 100, granted: 0, expiresAtMs: 12_000, ...more };
}

const take = (others: readonly WriteShare[], own: Partial<WriteShare> = {}) =>
  takeShare(others, share('own', own), AT);

const total = (rates: readonly number[]): number => rates.reduce((sum, rate) => sum + rate, 0);

describe('fairShares', () => {
  it.each([
    ['nobody', 20, [], []],
    ['one', 20, [100], [20]],
    ['one that wants less', 20, [3], [3]],
    ['equal parts', 20, [100, 100], [10, 10]],
    ['what one leaves is the others’', 20, [100, 2, 100], [9, 2, 9]],
    ['less than a part of what is left still', 20, [8, 2, 100], [8, 2, 10]],
    ['all can be had', 20, [5, 6, 7], [5, 6, 7]],
    ['less than one a second', 0.5, [1, 1], [0.25, 0.25]],
  ] as const)('%s', (_, quota, wanted, expected) => {
    expect(fairShares(quota, wanted)).toEqual(expected);
  });

  it('uses the quota up as far as it is wanted, and favours nobody', () => {
    const rates = fc.array(fc.double({ min: 0, max: 1_000, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1_000, noNaN: true }), rates, (quota, wanted) => {
        const fair = fairShares(quota, wanted);
        expect(total(fair)).toBeCloseTo(Math.min(quota, total(wanted)), 6);
        const most = Math.max(...fair);
        for (const [index, rate] of fair.entries()) {
          expect(rate).toBeLessThanOrEqual(wanted[index] ?? 0);
          // Whoever has less than another one wants no more.
          if (rate < most - 1e-6) expect(rate).toBeCloseTo(wanted[index] ?? 0, 6);
        }
      }),
    );
  });
});

describe('takeShare', () => {
  it('alone: all, however little is wanted now', () => {
    const { granted, isAlone, shares } = take([], { wanted: 1 });
    expect({ granted, isAlone }).toEqual({ granted: 20, isAlone: true });
    expect(shares).toEqual([share('own', { wanted: 1, granted: 20, expiresAtMs: 13_000 })]);
  });

  it('beside one that holds all: nothing, until that one has come by', () => {
    const before = take([share('a', { granted: 20 })]);
    expect(before).toMatchObject({ granted: 0, fair: 10, isAlone: false });
    const a = takeShare(before.shares, share('a'), AT);
    expect(a.granted).toBe(10);
    expect(takeShare(a.shares, share('own'), AT).granted).toBe(10);
  });

  it('what another one does not want', () => {
    expect(take([share('a', { wanted: 2, granted: 2 })])).toMatchObject({ granted: 18, fair: 18 });
  });

  it('what nobody wants is in equal parts there for the next write', () => {
    expect(take([share('a', { wanted: 2 })], { wanted: 4 }).granted).toBe(11);
  });

  it.each([
    ['expired', { expiresAtMs: 10_000 }],
    ['from before the clock was set back', { expiresAtMs: 13_001 }],
  ])('a share that has %s is nobody’s', (_, more) => {
    const { granted, shares } = take([share('a', { granted: 20, ...more })]);
    expect(granted).toBe(20);
    expect(shares.map(({ process }) => process)).toEqual(['own']);
  });

  it('its own share from before is not in its way', () => {
    expect(take([share('own', { granted: 20 })]).granted).toBe(20);
  });

  it.each([
    ['the lower one', 20, 5, 5],
    ['the higher one', 5, 20, 15],
  ])('two limits: %s takes no more than its own, the other one the rest', (_, a, limit, granted) => {
    const other = share('a', { limit: a, granted: a === 5 ? 5 : 10 });
    expect(take([other], { limit }).granted).toBe(granted);
  });

  it('the sum never exceeds the quota, whoever comes in whatever order, and all have their fair shares after two rounds', () => {
    const rates = fc.array(fc.double({ min: 0, max: 40, noNaN: true }), { minLength: 1, maxLength: 6 });
    const order = fc.array(fc.nat(5), { maxLength: 30 });
    fc.assert(
      fc.property(rates, rates, order, (before, after, visits) => {
        let shares: readonly WriteShare[] = [];
        const visit = (index: number, wanted: number) => {
          const taken = takeShare(shares, share(`p${index}`, { wanted }), AT);
          shares = taken.shares;
          expect(total(shares.map(({ granted }) => granted))).toBeLessThanOrEqual(20 + 1e-6);
          return taken;
        };
        for (const index of visits) visit(index % before.length, before[index % before.length] ?? 0);
        const round = () => after.map((wanted, index) => visit(index, wanted));
        // Others that are gone in between hold nothing any more.
        shares = shares.filter(({ process }) => Number(process.slice(1)) < after.length);
        // Everybody has said what he wants; has given up what is too much; has taken what is free.
        round();
        round();
        for (const { granted, fair } of round()) expect(granted).toBeCloseTo(fair, 6);
      }),
    );
  });
});
