import { expect, it } from 'vitest';
import { Lanes } from '../../../src/pipeline/group.js';

it('one key: one after another, in order; different keys: at the same time', async () => {
  const lanes = new Lanes();
  const log: string[] = [];
  let open: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (open = resolve));
  const slow = lanes.run('a', async () => {
    await closed;
    log.push('a1');
  });
  const next = lanes.run('a', async () => void log.push('a2'));
  await lanes.run('b', async () => void log.push('b1'));
  expect(lanes.size).toBe(1);
  open();
  await Promise.all([slow, next]);
  expect(log).toEqual(['b1', 'a1', 'a2']);
  await Promise.resolve();
  expect(lanes.size).toBe(0);
});

it('what queues behind a failure fails with it, unrun; what comes later runs', async () => {
  const lanes = new Lanes();
  let ran = false;
  const failed = lanes.run('a', () => Promise.reject(new Error('x')));
  const behind = lanes.run('a', async () => {
    ran = true;
  });
  await expect(failed).rejects.toThrow('x');
  await expect(behind).rejects.toThrow('x');
  expect(ran).toBe(false);
  await new Promise((resolve) => setImmediate(resolve));
  expect(await lanes.run('a', async () => 'later')).toBe('later');
});
