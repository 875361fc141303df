import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { createLogger, EventLog, FailureLog } from '../../../src/observability/index.js';

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

it('logs the first failure at once, and the others as one line a minute with their count', () => {
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

it('shows the class and frames of an error that is not ours, and nothing of its text', () => {
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

it('logs the remaining counts at the end', () => {
  const { log, lines } = failureLog();
  log.failed('relay failed', down);
  log.failed('relay failed', down);
  log.close();
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ count: 1 });
  expect(vi.getTimerCount()).toBe(0);
});

it('logs failed retries of kept events as one line a minute with their count', () => {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const logger = createLogger({ level: 'info', to: 'stdout', stream });
  const counters = { handled: vi.fn(), handedBack: vi.fn() };
  const log = new EventLog(logger, new FailureLog(logger), counters);
  const handled = (offset: number, isAgain: boolean): void =>
    log.handled({
      record: { topic: 't', partition: 0, offset },
      outcome: 'refused',
      code: 'SECRET_ID_COLLISION',
      eventId: `e${offset}`,
      eventType: null,
      connectionId: null,
      secretFields: 1,
      writes: 0,
      reported: [],
      notes: [],
      isAgain,
      durationMs: 1,
    });
  for (let offset = 0; offset < 3; offset += 1) handled(offset, false);
  expect(lines).toHaveLength(3);
  for (let round = 0; round < 100; round += 1)
    for (let offset = 0; offset < 3; offset += 1) handled(offset, true);
  vi.advanceTimersByTime(60_000);
  expect(lines.slice(3)).toMatchObject([{ code: 'SECRET_ID_COLLISION' }, { count: 299 }]);
  expect(counters.handled).toHaveBeenCalledTimes(303);
});

it('logs one line per dead letter, when it is committed', () => {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const logger = createLogger({ level: 'info', to: 'stdout', stream });
  const counters = { handled: vi.fn(), handedBack: vi.fn(), deadLetter: vi.fn() };
  const log = new EventLog(logger, new FailureLog(logger), counters);
  const place = { topic: 't', partition: 0 };
  const about = { connectionId: 'c', eventId: 'e' } as const;
  const letter = { ...place, ...about, position: 7, eventHash: 'f'.repeat(64), state: 'dead' } as const;
  const rest = { attempts: 1, waitUntilMs: null, nextAttemptAtMs: null, createdAtMs: 1, updatedAtMs: 1 };
  const kept = { ...letter, ...rest, detail: '', eventOrder: null, sets: ['/password'] };
  const handled = (outcome: 'refused' | 'applied'): void =>
    log.handled({
      ...{ record: { ...place, offset: 7 }, ...about, outcome, code: null, eventType: null },
      ...{ secretFields: 1, writes: 0, reported: [], notes: [], isAgain: false, durationMs: 1 },
    });
  log.deadLettersMade([{ ...kept, code: 'VALUE_TOO_LONG' }]);
  handled('refused');
  expect(lines).toMatchObject([
    { msg: 'dead letter', outcome: 'refused', code: 'VALUE_TOO_LONG', ...about, offset: 7, secretFields: 1 },
  ]);
  // It comes again and is refused for the same reason, or is applied at last: no dead letter is made.
  handled('refused');
  log.deadLettersMade([{ ...kept, code: 'EVENT_BLOCKED' }]);
  handled('applied');
  expect(lines.slice(1)).toMatchObject([
    { msg: 'event', outcome: 'refused' },
    { msg: 'dead letter', outcome: 'blocked' },
    { msg: 'event', outcome: 'applied' },
  ]);
  expect(counters.handled).toHaveBeenCalledTimes(3);
});
