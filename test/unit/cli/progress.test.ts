import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { showProgress } from '../../../src/cli/progress.js';

function open(isTTY: boolean) {
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 120 });
  const clock = { nowMs: 0 };
  const progress = showProgress(
    { stderr },
    { title: 'migrating', unit: 'connections', clock: () => clock.nowMs },
  );
  return { progress, clock, text: () => String(stderr.read() ?? '') };
}

describe('progress without a terminal', () => {
  it('is a line at once, then one every five seconds, and the last state at the end', () => {
    const { progress, clock, text } = open(false);
    progress.report({ done: 0, total: 2_000, failed: 0 });
    for (const [atMs, done] of [
      [1_000, 100],
      [4_999, 500],
      [5_000, 500],
      [6_000, 600],
      [8_000, 2_000],
    ] as const) {
      clock.nowMs = atMs;
      progress.report({ done, total: 2_000, failed: done === 2_000 ? 3 : 0 });
    }
    progress.stop();
    progress.stop();
    expect(text().split('\n')).toEqual([
      'migrating: 0 of 2,000 connections, 0.0/s, time left not known yet',
      'migrating: 500 of 2,000 connections, 100/s, 15 s left',
      'migrating: 2,000 of 2,000 connections, 250/s, 3 failed',
      '',
    ]);
  });

  it('counts the rate of this run alone where work is resumed', () => {
    const { progress, clock, text } = open(false);
    progress.report({ done: 900, total: 10_000, failed: 0 });
    clock.nowMs = 10_000;
    progress.report({ done: 920, total: 10_000, failed: 0 });
    expect(text().split('\n')[1]).toBe('migrating: 920 of 10,000 connections, 2.0/s, 1 h 15 min left');
  });

  it('says what it knows where the total is not known', () => {
    const { progress, text } = open(false);
    progress.report({ done: 7, total: null, failed: 0 });
    expect(text()).toBe('migrating: 7 connections, 0.0/s\n');
  });

  it('writes nothing where nothing was reported', () => {
    const { progress, text } = open(false);
    progress.stop();
    expect(text()).toBe('');
  });
});

describe('progress on a terminal', () => {
  it('is a bar with the same text', () => {
    const { progress, clock, text } = open(true);
    progress.report({ done: 0, total: 10, failed: 0 });
    clock.nowMs = 2_000;
    progress.report({ done: 5, total: 10, failed: 1 });
    progress.stop();
    expect(text()).toContain(
      'migrating [============------------] 5 of 10 connections, 2.5/s, 2 s left, 1 failed',
    );
  });
});
