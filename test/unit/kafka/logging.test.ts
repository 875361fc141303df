import { Writable } from 'node:stream';
import { logLevel } from 'kafkajs';
import type { LogEntry } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createLogCreator } from '../../../src/kafka/logging.js';

type Given = Partial<LogEntry['log']> & { level?: logLevel; atMs?: number };

function logged(entries: readonly Given[]): unknown[] {
  const lines: unknown[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  let nowMs = 0;
  const log = createLogCreator(pino({ level: 'debug' }, stream), () => nowMs)(logLevel.INFO);
  for (const { level = logLevel.ERROR, atMs = 0, ...content } of entries) {
    nowMs = atMs;
    const full = { timestamp: 'now', message: 'm', ...content };
    log({ namespace: 'Connection', level, label: 'ERROR', log: full });
  }
  return lines;
}

describe('createLogCreator', () => {
  it('passes names and numbers on, nothing else', () => {
    const [line] = logged([
      {
        message: 'Response Produce(key: 0): value hunter2',
        broker: 'b:9092',
        retryCount: 2,
        payload: { type: 'Buffer', data: [1] },
        buffer: 'hunter2',
        error: 'hunter2',
        stack: 'hunter2',
        topic: { hunter2: true },
      },
    ]);
    expect(line).toMatchObject({
      component: 'kafkajs',
      broker: 'b:9092',
      retryCount: 2,
      msg: 'Response Produce(key',
    });
    expect(JSON.stringify(line)).not.toContain('hunter2');
    expect(line).not.toHaveProperty('topic');
  });

  it('maps levels: errors and warnings to warn, the rest to debug', () => {
    const lines = logged([
      { level: logLevel.ERROR, message: 'a' },
      { level: logLevel.WARN, message: 'b' },
      { level: logLevel.INFO, message: 'c' },
      { level: logLevel.DEBUG, message: 'd' },
    ]);
    expect(lines).toMatchObject([{ level: 40 }, { level: 40 }, { level: 20 }, { level: 20 }]);
  });

  it('logs the same line once in half a minute, with the number of lines held back', () => {
    const line = (atMs: number): Given => ({ atMs, message: 'Connection error: connect ECONNREFUSED' });
    const lines = logged([line(0), line(1_000), line(29_999), line(30_000)]);
    expect(lines).toHaveLength(2);
    expect(lines[0]).not.toHaveProperty('heldBack');
    expect(lines[1]).toMatchObject({ heldBack: 2, msg: 'Connection error' });
  });
});
