import { describe, expect, it } from 'vitest';
import type { WriteShare } from '../../../src/secrets-managers/fair-share.js';
import { IDLE_MS, LEASE_MS, type ChangeShares } from '../../../src/secrets-managers/shared-limiter.js';
import { WriteFleet } from '../../harness/write-fleet.js';

const QUOTA = 20;
const SIGNAL = new AbortController().signal;

/** What is in the database, by the clock of the fleet. */
class Table {
  readonly fleet = new WriteFleet(QUOTA);
  shares: readonly WriteShare[] = [];
  statements = 0;
  /** What becomes of the next statements. */
  state: 'up' | 'down' | 'hangs' = 'up';

  readonly change: ChangeShares = async (change) => {
    this.statements += 1;
    if (this.state === 'hangs') return new Promise(() => undefined);
    await Promise.resolve();
    if (this.state === 'down') throw new Error('the database is away');
    const changed = change(this.shares, this.fleet.clock.now());
    this.shares = changed.shares;
    return changed;
  };

  worker(lanes = 0, writesPerSecond = QUOTA) {
    return this.fleet.worker({ changeShares: this.change, lanes, writesPerSecond });
  }

  get granted(): number {
    return this.shares.reduce((sum, { granted }) => sum + granted, 0);
  }
}

describe('SharedLimiter', () => {
  it('asks the database for nothing before the first write; alone it has all, a second’s worth at once', async () => {
    const table = new Table();
    const { limiter } = table.worker();
    await table.fleet.run(5_000);
    expect(table.statements).toBe(0);
    let admitted = 0;
    for (let count = 0; count < 3 * QUOTA; count += 1)
      void limiter.acquire(SIGNAL).then(() => (admitted += 1));
    await table.fleet.run(10);
    expect(admitted).toBe(QUOTA);
    await table.fleet.run(1_000);
    expect(admitted).toBe(2 * QUOTA);
    expect(limiter.ratePerSecond).toBe(QUOTA);
  });

  it('two that have much to write have half each, and use it all without a throttle, from the beginning', async () => {
    const table = new Table();
    const { fleet } = table;
    const a = table.worker(8);
    await fleet.run(3_300);
    const b = table.worker(8);
    const beforeB = fleet.written;
    await fleet.run(1_500);
    expect([a, b].map(({ limiter }) => limiter.ratePerSecond)).toEqual([10, 10]);
    await fleet.run(18_500);
    expect(fleet.throttles).toBe(0);
    expect(fleet.written - beforeB).toBeGreaterThanOrEqual(0.95 * QUOTA * 20);
    expect(b.written).toBeGreaterThanOrEqual(0.9 * 10 * 20);
  });

  it('what one does not need, the other ones have', async () => {
    const table = new Table();
    const { fleet } = table;
    const [a, b] = [table.worker(8), table.worker(8)];
    const light = table.worker();
    const write = (): void => {
      void light.limiter.acquire(SIGNAL).then(() => fleet.clock.schedule(write, 450));
    };
    write();
    await fleet.run(10_000);
    const [ofA, ofB] = [a.written, b.written];
    await fleet.run(20_000);
    // It takes two a second, and has a little more, to grow.
    for (const written of [a.written - ofA, b.written - ofB]) expect(written / 20).toBeGreaterThan(8.3);
    expect(light.limiter.ratePerSecond).toBeGreaterThan(2);
    expect(fleet.throttles).toBe(0);
  });

  it('one that has nothing more to write leaves its share in a few seconds, and has it back in two', async () => {
    const table = new Table();
    const { fleet } = table;
    const [a, b] = [table.worker(), table.worker(8)];
    let isResting = false;
    const write = (): void => {
      if (isResting) return;
      // Sixty a second without a limit: that is no more use than the limit is.
      void a.limiter.acquire(SIGNAL).then(() => fleet.clock.schedule(write, 16));
    };
    write();
    await fleet.run(10_000);
    expect(a.limiter.ratePerSecond).toBe(QUOTA / 2);
    isResting = true;
    await fleet.run(5_000);
    expect(b.limiter.ratePerSecond).toBeGreaterThan(0.75 * QUOTA);
    const late = Array.from({ length: 100 }, () => a.limiter.acquire(SIGNAL));
    await fleet.run(2_500);
    expect([a, b].map(({ limiter }) => limiter.ratePerSecond)).toEqual([QUOTA / 2, QUOTA / 2]);
    await Promise.all([...late, fleet.run(10_000)]);
    expect(fleet.throttles).toBe(0);
  });

  it('one that ends gives its share back at once, one that is killed when it expires', async () => {
    const table = new Table();
    const { fleet } = table;
    const [a, b, c] = [table.worker(8), table.worker(8), table.worker(8)];
    await fleet.run(4_000);
    expect(a.limiter.ratePerSecond).toBeCloseTo(QUOTA / 3);
    await c.limiter.close();
    expect(table.shares).toHaveLength(2);
    await fleet.run(1_500);
    expect(a.limiter.ratePerSecond).toBe(QUOTA / 2);
    b.kill();
    await fleet.run(LEASE_MS - 1_100);
    expect(a.limiter.ratePerSecond).toBe(QUOTA / 2);
    await fleet.run(2_200);
    expect(a.limiter.ratePerSecond).toBe(QUOTA);
    expect(fleet.throttles).toBe(0);
  });

  it('keeps what it was granted while the database is away, until that expires; then it admits nothing', async () => {
    const table = new Table();
    const { fleet } = table;
    const [a] = [table.worker(8), table.worker(8)];
    await fleet.run(4_000);
    table.state = 'down';
    await fleet.run(1_500);
    expect(a.failures.length).toBeGreaterThan(0);
    expect(a.limiter.ratePerSecond).toBe(QUOTA / 2);
    await fleet.run(LEASE_MS);
    const before = fleet.written;
    expect(a.limiter.ratePerSecond).toBe(0);
    await fleet.run(5_000);
    expect(fleet.written).toBe(before);
    table.state = 'up';
    await fleet.run(3_000);
    expect(a.limiter.ratePerSecond).toBe(QUOTA / 2);
    expect(fleet.written).toBeGreaterThan(before);
    expect(fleet.throttles).toBe(0);
  });

  it('gives its share back when nothing is written any more, and wakes with the next write', async () => {
    const table = new Table();
    const { fleet } = table;
    const { limiter } = table.worker();
    await Promise.all([limiter.acquire(SIGNAL), fleet.run(100)]);
    expect(table.shares).toHaveLength(1);
    await fleet.run(IDLE_MS + 1_000);
    expect(table.shares).toEqual([]);
    const { statements } = table;
    await fleet.run(60_000);
    expect(table.statements).toBe(statements);
    expect(fleet.clock.pendingTimers).toBe(0);
    await Promise.all([limiter.acquire(SIGNAL), fleet.run(100)]);
    expect(table.shares).toHaveLength(1);
  });

  it('a write that is asked for while the share is being given back is admitted', async () => {
    const table = new Table();
    const { fleet } = table;
    const late: Promise<void>[] = [];
    const { limiter } = fleet.worker({
      changeShares: async (change) => {
        const changed = await table.change(change);
        if (changed.shares.length === 0 && late.length === 0) late.push(limiter.acquire(SIGNAL));
        return changed;
      },
    });
    await Promise.all([limiter.acquire(SIGNAL), fleet.run(100)]);
    await fleet.run(IDLE_MS + 1_000);
    expect(late).toHaveLength(1);
    await late[0];
  });

  it('takes the half of a half on a throttle, and the others do not get it', async () => {
    const table = new Table();
    const { fleet } = table;
    const [a, b] = [table.worker(8), table.worker(8)];
    await fleet.run(4_000);
    a.limiter.throttled();
    expect(a.limiter.ratePerSecond).toBeCloseTo(5, 1);
    await fleet.run(2_000);
    expect(a.limiter.ratePerSecond).toBeLessThan(6);
    expect(b.limiter.ratePerSecond).toBe(10);
  });

  it('ends soon where the database does not answer', async () => {
    const table = new Table();
    const { limiter } = table.worker();
    await Promise.all([limiter.acquire(SIGNAL), table.fleet.run(100)]);
    table.state = 'hangs';
    const closed = limiter.close();
    await table.fleet.clock.advance(1_000);
    await closed;
    expect(table.shares).toHaveLength(1);
  });

  it('what is granted is within the quota at any moment, whoever comes and goes', async () => {
    const table = new Table();
    const { fleet } = table;
    for (let count = 0; count < 5; count += 1) {
      const one = table.worker(3 + count, count === 2 ? 7 : QUOTA);
      for (let step = 0; step < 8; step += 1) {
        await fleet.run(130 * (count + 1));
        expect(table.granted).toBeLessThanOrEqual(QUOTA + 1e-6);
      }
      if (count % 2 === 1) one.kill();
    }
    expect(fleet.throttles).toBe(0);
  });
});
