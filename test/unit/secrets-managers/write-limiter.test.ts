import { describe, expect, it } from 'vitest';
import { WriteLimiter } from '../../../src/secrets-managers/write-limiter.js';
import { ManualClock } from '../../harness/manual-clock.js';

function limiterOn(clock: ManualClock, writesPerSecond: number): WriteLimiter {
  return new WriteLimiter({ writesPerSecond, nowMs: clock.now, schedule: clock.schedule });
}

const never = new AbortController().signal;

/** Asks for `count` writes and tells which were admitted so far. */
function ask(limiter: WriteLimiter, count: number, signal: AbortSignal = never): number[] {
  const admitted: number[] = [];
  for (let index = 0; index < count; index += 1) {
    limiter.acquire(signal).then(
      () => admitted.push(index),
      () => undefined,
    );
  }
  return admitted;
}

describe('WriteLimiter', () => {
  it('admits a second’s worth at once, then the rate, in the order of asking', async () => {
    const clock = new ManualClock();
    const admitted = ask(limiterOn(clock, 20), 60);
    await clock.advance(0);
    expect(admitted).toHaveLength(20);
    await clock.advance(1_000);
    expect(admitted).toHaveLength(40);
    await clock.advance(1_000);
    expect(admitted).toEqual(Array.from({ length: 60 }, (_, index) => index));
    expect(clock.pendingTimers).toBe(0);
  });

  it('takes rates below one: 0.2 is one write in five seconds', async () => {
    const clock = new ManualClock();
    const admitted = ask(limiterOn(clock, 0.2), 3);
    await clock.advance(0);
    expect(admitted).toHaveLength(1);
    await clock.advance(4_900);
    expect(admitted).toHaveLength(1);
    await clock.advance(200);
    expect(admitted).toHaveLength(2);
    await clock.advance(5_000);
    expect(admitted).toHaveLength(3);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses the rate %s', (rate) => {
    expect(() => new WriteLimiter({ writesPerSecond: rate })).toThrow(RangeError);
  });

  it('halves its rate on a throttle and takes several at once for one', () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.throttled();
    limiter.throttled();
    limiter.throttled();
    expect(limiter.ratePerSecond).toBe(10);
    clock.nowMs += 600;
    limiter.throttled();
    expect(limiter.ratePerSecond).toBeCloseTo(5.1, 0);
  });

  it('admits nothing from the bucket right after a throttle', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.throttled();
    const admitted = ask(limiter, 5);
    await clock.advance(90);
    expect(admitted).toHaveLength(0);
    await clock.advance(20);
    expect(admitted).toHaveLength(1);
  });

  it('recovers by itself in steps of time, up to the configured rate and not beyond', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.throttled();
    const rates = [limiter.ratePerSecond];
    for (let step = 0; step < 3; step += 1) {
      await clock.advance(15_000);
      rates.push(limiter.ratePerSecond);
    }
    expect(rates).toEqual([10, 15, 20, 20]);
  });

  it('never goes so low that it could not notice that the store is well again', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    for (let count = 0; count < 50; count += 1) {
      limiter.throttled();
      await clock.advance(600);
    }
    expect(limiter.ratePerSecond).toBeGreaterThan(20 / 65);
    const admitted = ask(limiter, 1);
    await clock.advance(5_000);
    expect(admitted).toHaveLength(1);
  });

  it('lets go of who gives up: his turn goes to the next', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 1);
    await limiter.acquire(never);
    const controller = new AbortController();
    const given = limiter.acquire(controller.signal);
    const admitted = ask(limiter, 1);
    const reason = new Error('stopped');
    controller.abort(reason);
    await expect(given).rejects.toBe(reason);
    expect(limiter.waiting).toBe(1);
    await clock.advance(1_000);
    expect(admitted).toEqual([0]);
    await expect(limiter.acquire(controller.signal)).rejects.toBe(reason);
    expect(clock.pendingTimers).toBe(0);
  });

  it('leaves no timer behind when the last one gives up', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 1);
    await limiter.acquire(never);
    const controller = new AbortController();
    const given = limiter.acquire(controller.signal);
    controller.abort();
    await expect(given).rejects.toThrow();
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not run backwards with a clock that stands', async () => {
    const clock = new ManualClock();
    const admitted = ask(limiterOn(clock, 2), 10);
    await clock.advance(0);
    expect(admitted).toHaveLength(2);
  });

  it('admits at the rate that is granted, and nothing after its end', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.grant(5, 3_100);
    const admitted = ask(limiter, 60);
    await clock.advance(1_000);
    // What the bucket held for 20 a second is a second's worth of the new rate.
    expect(admitted).toHaveLength(10);
    await clock.advance(10_000);
    expect(admitted).toHaveLength(20);
    expect(limiter.ratePerSecond).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    limiter.grant(10, 20_000);
    await clock.advance(1_000);
    // Nothing was earned in between.
    expect(admitted).toHaveLength(30);
  });

  it.each([
    ['full', 10],
    ['empty', 0],
  ] as const)('begins a grant with a bucket that is %s', async (bucket, atOnce) => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.grant(0, Number.POSITIVE_INFINITY);
    const admitted = ask(limiter, 60);
    await clock.advance(1_000);
    expect(admitted).toHaveLength(0);
    limiter.grant(10, Number.POSITIVE_INFINITY, bucket);
    await clock.advance(0);
    expect(admitted).toHaveLength(atOnce);
    await clock.advance(1_000);
    expect(admitted).toHaveLength(atOnce + 10);
  });

  it('halves what is granted on a throttle, also when another rate is granted meanwhile', async () => {
    const clock = new ManualClock();
    const limiter = limiterOn(clock, 20);
    limiter.grant(10, Number.POSITIVE_INFINITY);
    limiter.throttled();
    expect(limiter.ratePerSecond).toBe(5);
    limiter.grant(20, Number.POSITIVE_INFINITY);
    expect(limiter.ratePerSecond).toBe(10);
    await clock.advance(30_000);
    expect(limiter.ratePerSecond).toBe(20);
  });

  it('works with real timers', async () => {
    const startedMs = performance.now();
    const limiter = new WriteLimiter({ writesPerSecond: 50 });
    for (let count = 0; count < 60; count += 1) await limiter.acquire(never);
    // 50 at once and ten at 50 a second: never sooner, however busy the machine is.
    expect(performance.now() - startedMs).toBeGreaterThan(195);
  });
});
