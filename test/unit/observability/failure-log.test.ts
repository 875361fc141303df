import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { createLogger, FailureLog } from '../../../src/observability/index.js';

const down = new WorkerError('STORE_UNAVAILABLE', 'the store is away');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function failureLog() {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { log: new FailureLog(createLogger({ level: 'info', to: 'stdout', stream })), lines };
}

it('logs the first at once and what follows as one line a minute with the count', () => {
  const { log, lines } = failureLog();
  for (let i = 0; i < 1_000; i += 1) log.failed('relay failed', down);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    msg: 'relay failed',
    code: 'STORE_UNAVAILABLE',
    error: { code: 'STORE_UNAVAILABLE', message: 'the store is away' },
  });
  vi.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ msg: 'relay failed, again', code: 'STORE_UNAVAILABLE', count: 999 });
  vi.advanceTimersByTime(600_000);
  expect(lines).toHaveLength(2);
  log.failed('relay failed', down);
  expect(lines).toHaveLength(3);
  expect(lines[2]).toMatchObject({ msg: 'relay failed' });
});

it('says of a stranger’s error the class and the places, and nothing of its text', () => {
  const { log, lines } = failureLog();
  log.failed('relay failed', new RangeError('hunter2'));
  expect(lines[0]).toMatchObject({ code: 'RangeError', error: { name: 'RangeError' } });
  expect(JSON.stringify(lines[0]?.['error'])).toContain('failure-log.test');
  expect(JSON.stringify(lines)).not.toContain('hunter2');
});

it('tells kinds and codes apart', () => {
  const { log, lines } = failureLog();
  log.failed('relay failed', down);
  log.failed('relay failed', new WorkerError('BROKER_UNAVAILABLE', 'x'));
  log.failed('janitor failed', down);
  expect(lines).toHaveLength(3);
});

it('writes what is left at the end', () => {
  const { log, lines } = failureLog();
  log.failed('relay failed', down);
  log.failed('relay failed', down);
  log.close();
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ count: 1 });
  expect(vi.getTimerCount()).toBe(0);
});
