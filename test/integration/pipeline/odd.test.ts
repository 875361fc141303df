import { describe, expect, it } from 'vitest';
import { describeWith } from '../../harness/index.js';
import { LIMITS } from '../../../src/limits.js';
import type { Json } from '../../../src/terms.js';
import {
  CONNECTION,
  eventRecord,
  MASKED,
  sourceRecord,
  changeEvent,
} from '../../components/pipeline/events.js';
import { openBench } from '../../components/pipeline/fixture.js';

const ODD_KEYS = [
  '__proto__',
  'constructor',
  '',
  ' ',
  '/',
  '~',
  '~1',
  'a/b',
  '0',
  '-',
  '.',
  '..',
  'toString',
  'ü',
  '🔑',
  '\0',
  '\uD800',
  'x'.repeat(3_000),
];

/** Whatever a user types: the event is applied or refused, never a defect that stops the worker. */
describe('odd entities', () => {
  it.each(ODD_KEYS.map((key) => [JSON.stringify(key).slice(0, 20), key] as const))(
    'the key %s around a password',
    async (_, key) => {
      const { bench, worker } = await openBench();
      const config = (password: Json): Record<string, Json> => ({
        connectionOptions: JSON.parse(
          `{${JSON.stringify(key)}: {"password": ${JSON.stringify(password)}, "list": [{"password": ${JSON.stringify(password)}}]}}`,
        ) as Json,
      });
      for (const [at, password] of ['MARK-a', MASKED, 'MARK-b', MASKED, null].entries())
        await worker.handle(eventRecord({ at: at * 2 + 1, config: config(password) }));
      await worker.handle(eventRecord({ at: 8, config: config('MARK-late') }));
      expect(worker.failures).toEqual([]);
      expect(['applied', 'refused', 'stale', 'blocked']).toContain(worker.last()?.outcome);
      await bench.expectNoLeak();
    },
  );

  it.each(['in-memory', 'db'] as const)(
    'as many secret fields as the limit, with %s: applied, masked, deleted',
    async (manager) => {
      const { bench, worker } = await openBench({ manager });
      worker.outlet.maxBytes = 100_000_000;
      const config = (password: string) => ({
        connectionOptions: Object.fromEntries(
          Array.from({ length: LIMITS.secretFields }, (_, index) => [`k${index}`, { password }]),
        ),
      });
      expect(await worker.handle(eventRecord({ at: 1, config: config('MARK-a') }))).toBe('applied');
      expect(await worker.handle(eventRecord({ at: 2, config: config(MASKED) }))).toBe('applied');
      expect(bench.topics.lastOf(CONNECTION)?.secretFields).toHaveLength(LIMITS.secretFields);
      expect(await worker.handle(eventRecord({ at: 3 }))).toBe('applied');
      expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([]);
    },
  );
});

describeWith(['mariadb', 'postgres'], 'odd records', () => {
  it.each(['mariadb', 'postgres'] as const)(
    'a topic, names and ids of any characters on %s',
    async (engine) => {
      const { bench, worker } = await openBench({ engine });
      const topic = 'thème/密码';
      await worker.handle(
        sourceRecord(changeEvent({ password: 'MARK-a', name: 'n🔑\0', eventId: 'é🔑', actor: '\uD83D' }), {
          topic,
        }),
      );
      await worker.handle(sourceRecord('no event', { topic, key: Buffer.from([0xff, 0x00]) }));
      await worker.handle(sourceRecord('no event', { topic: 't'.repeat(300) }));
      expect(worker.handled.map(({ outcome }) => outcome)).toContain('refused');
      expect(worker.failures).toEqual([]);
      await bench.expectNoLeak();
    },
  );
});
