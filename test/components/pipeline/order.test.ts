import { describe, expect, it } from 'vitest';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  PASSWORD_ID,
  sourceRecord,
} from './events.js';
import { scheduleRetry } from '../../../src/database/dead-letters.js';
import { openBench, type Bench, type BenchWorker } from './fixture.js';
import { configOf } from './sent-event.js';

const value = (bench: Bench): Promise<string | null> => bench.store.valueOf(PASSWORD_ID);

describe('which of two states is newer', () => {
  it('the same event id again: a duplicate, no call, no second secured event', async () => {
    const { bench, worker } = await openBench();
    const event = changeEvent({ password: 'MARK-a' });
    expect(await worker.handle(sourceRecord(event))).toBe('applied');
    expect(await worker.handle(sourceRecord(event))).toBe('duplicate');
    expect(await worker.handle(sourceRecord(event, { topic: 'connection.created', partition: 3 }))).toBe(
      'duplicate',
    );
    expect([bench.store.writes, bench.topics.secured.length]).toEqual([1, 1]);
  });

  it('the same content and order under another event id: a duplicate', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', eventId: 'one' }));
    expect(await worker.handle(eventRecord({ password: 'MARK-a', eventId: 'two' }))).toBe('duplicate');
    expect(bench.topics.secured).toHaveLength(1);
  });

  it('an older one is stale: acknowledged, nothing sent, nothing written', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }))).toBe('stale');
    expect(await value(bench)).toBe('MARK-b');
    expect(bench.topics.secured).toHaveLength(1);
    expect(await worker.handle(eventRecord({ at: 0 }))).toBe('stale');
  });

  it('time goes before version: a version that goes back is newer all the same', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1, version: 0.9 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2, version: 0.2 }))).toBe('applied');
    expect(await value(bench)).toBe('MARK-b');
  });

  it('one time: the version decides, none is the lowest; one version: the offset within a partition', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', version: 0.1 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-none', version: null }))).toBe('stale');
    await worker.handle(eventRecord({ password: 'MARK-b', version: 0.2 }, { partition: 7, offset: 50 }));
    const earlier = eventRecord({ password: 'MARK-c', version: 0.2 }, { partition: 7, offset: 49 });
    expect(await worker.handle(earlier)).toBe('stale');
    const later = eventRecord({ password: 'MARK-d', version: 0.2 }, { partition: 7, offset: 51 });
    expect(await worker.handle(later)).toBe('applied');
    expect(await value(bench)).toBe('MARK-d');
  });

  it('without a version the offset decides', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', version: null }, { offset: 5 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-b', version: null }, { offset: 4 }))).toBe(
      'stale',
    );
    expect(await worker.handle(eventRecord({ password: 'MARK-b', version: null }, { offset: 6 }))).toBe(
      'applied',
    );
    expect(await value(bench)).toBe('MARK-b');
  });

  it('further ahead than CLOCK_SKEW_SECONDS: refused; what comes after it is not stale', async () => {
    const { bench, worker } = await openBench();
    const ahead = (Date.now() - 1_790_000_000_000) / 1_000 + 400;
    await worker.handle(eventRecord({ password: 'MARK-b', at: ahead }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'TIMESTAMP_IMPLAUSIBLE' });
    expect(await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }))).toBe('applied');
    expect(await value(bench)).toBe('MARK-a');
    await bench.expectNoLeak();
  });
});

describe('an event with a time that cannot be', () => {
  const ahead = (Date.now() - 1_790_000_000_000) / 1_000 + 400;
  const seconds = 1_790_000_000 / 1_000 - 1_790_000_000;

  it.each([
    ['far ahead', ahead],
    ['in seconds', seconds],
  ])('%s holds back what masks a field that it was to set, and nothing else', async (_, at) => {
    const { bench, worker } = await openBench();
    const ssl = (caCertificate: string) => ({ sslConfig: { caCertificate } });
    await worker.handle(eventRecord({ password: 'MARK-a', config: ssl('MARK-ca'), at: 1 }));
    await worker.handle(eventRecord({ password: 'MARK-b', config: ssl(MASKED), at }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'TIMESTAMP_IMPLAUSIBLE' });
    const [row] = await bench.query('SELECT sets FROM dead_letter');
    expect(row).toEqual({ sets: '["/connection/config/password"]' });
    const newest = eventRecord({ password: 'MARK-a', config: ssl(MASKED), at: 2 });
    expect(await worker.handle(newest)).toBe('applied');
    expect(await bench.kept()).toEqual([]);
    await worker.handle(eventRecord({ password: 'MARK-b', at }));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('blocked');
    expect(await worker.handle(eventRecord({ password: 'MARK-c', at: 4 }))).toBe('applied');
    expect(await value(bench)).toBe('MARK-c');
    await bench.expectNoLeak();
  });

  it('that only masks holds nothing back', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, config: { hostPort: 'b' }, at: ahead }));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('applied');
    expect(await value(bench)).toBe('MARK-a');
  });
});

describe('order holds per field', () => {
  it('A,m|B: a text that every newer event only masked is still set', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, config: { hostPort: 'newest' }, at: 3 }));
    expect(
      await worker.handle(eventRecord({ password: 'MARK-b', config: { hostPort: 'older' }, at: 2 })),
    ).toBe('applied');
    expect(await value(bench)).toBe('MARK-b');
    expect(configOf(bench.topics.lastOf(CONNECTION))).toMatchObject({ hostPort: 'newest' });
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2, 3]);
    expect(await worker.handle(eventRecord({ password: 'MARK-c', at: 1.5 }))).toBe('stale');
    expect(await value(bench)).toBe('MARK-b');
  });

  it('a field that a newer event set, cleared or left out is not set by an older one', async () => {
    for (const newer of [{ password: 'MARK-c' }, { password: null }, {}]) {
      const { bench, worker } = await openBench();
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await worker.handle(eventRecord({ ...newer, at: 3 }));
      expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('stale');
      expect(await value(bench)).toBe(newer.password === 'MARK-c' ? 'MARK-c' : 'MARK-a');
      expect(configOf(bench.topics.lastOf(CONNECTION))['password'] ?? null).toBe(
        newer.password === 'MARK-c' ? `secret:${PASSWORD_ID}` : null,
      );
    }
  });

  it('a newer reference to the field’s own id sets it as well, also where it renames', async () => {
    for (const name of ['mysql-test', 'renamed']) {
      const { bench, worker } = await openBench();
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await worker.handle(eventRecord({ name, password: `secret:${PASSWORD_ID}`, at: 3 }));
      expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('stale');
      expect(await bench.store.valueOf(PASSWORD_ID.replace('mysql-test', name))).toBe('MARK-a');
    }
  });

  it('an older one with a mistake in what nobody needs any more is stale, not refused', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    expect(await worker.handle(eventRecord({ password: 'null', at: 1 }))).toBe('stale');
    expect(await worker.handle(eventRecord({ password: 7, at: 1.5 }))).toBe('stale');
    expect(await bench.kept()).toEqual([]);
    expect(await worker.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('applied');
  });

  it('an older one with a mistake in a field that newer ones only masked is refused, and holds masks back', async () => {
    const { worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, at: 3 }));
    await worker.handle(eventRecord({ password: 'null', at: 2 }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'VALUE_IS_THE_WORD_NULL' });
    expect(await worker.handle(eventRecord({ password: MASKED, at: 4 }))).toBe('blocked');
    expect(await worker.handle(eventRecord({ password: 'MARK-c', at: 5 }))).toBe('applied');
  });

  it('a refused event that is replayed after a newer one has superseded it is stale', async () => {
    const { bench, worker } = await openBench();
    const refused = changeEvent({ password: 'null', at: 1 });
    await worker.handle(sourceRecord(refused));
    await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    expect(await bench.kept()).toEqual([]);
    expect(await worker.handle(sourceRecord(refused))).toBe('stale');
    expect(await bench.kept()).toEqual([]);
  });
});

describe('deletions', () => {
  it('hard: secrets are retired, the secured event has no entity, a late older event does not resurrect', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(deletion(3));
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({
      operation: 'deleted',
      entity: null,
      secretFields: [],
    });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('stale');
    expect(await bench.query('SELECT path FROM secret_reference')).toEqual([]);
    expect(bench.topics.secured).toHaveLength(2);
  });

  it('wins over an update of the same time and version, in either order of arrival', async () => {
    const one = await openBench();
    await one.worker.handle(eventRecord({ password: 'MARK-a', at: 1 }, { offset: 900_000 }));
    expect(await one.worker.handle(deletion(1))).toBe('applied');
    const other = await openBench();
    await other.worker.handle({ ...deletion(1), topic: 'connection.updated' });
    const later = eventRecord({ password: 'MARK-a', at: 1 }, { offset: 900_000 });
    expect(await other.worker.handle(later)).toBe('stale');
    expect(other.bench.store.calls).toEqual([]);
  });

  it('of a connection nobody has seen: a tombstone', async () => {
    const { bench, worker } = await openBench();
    expect(await worker.handle(deletion(2))).toBe('applied');
    expect(await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }))).toBe('stale');
    expect(bench.topics.secured.map(({ operation }) => operation)).toEqual(['deleted']);
  });

  it('a newer event after a deletion begins anew; the revision goes on', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(deletion(2));
    await worker.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    expect(await value(bench)).toBe('MARK-b');
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 3 });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it('soft: keeps the secrets; restored: the same references', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, at: 2, eventType: 'entitySoftDeleted' }));
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ operation: 'softDeleted' });
    await worker.handle(eventRecord({ password: MASKED, at: 3, eventType: 'entityRestored' }));
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ operation: 'restored', revision: 3 });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
    expect(bench.store.writes).toBe(1);
  });

  it('external references are never ours to retire', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'secret:/team-a/x', at: 1 }));
    await worker.handle(deletion(2));
    expect(await bench.stored()).toEqual({});
    expect(bench.store.calls).toEqual([]);
  });

  it('a null value is acknowledged, never a deletion', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    const tombstone = {
      ...eventRecord({}),
      topic: 'connection.deleted',
      key: Buffer.from(CONNECTION),
      value: null,
    };
    expect(await worker.handle(tombstone)).toBe('tombstone');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });
});

describe('a higher version with an earlier time', () => {
  const conflict = { outcome: 'refused', code: 'ORDER_CONFLICT' };
  const retry = async (worker: BenchWorker): Promise<void> => {
    await scheduleRetry(worker.database, { code: 'ORDER_CONFLICT' });
    await worker.pipeline.retryKept(new AbortController().signal);
  };

  it('and another secret is kept, holds nothing back, and a retry applies it as the newest', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 5, version: 0.2 }));
    const late = eventRecord({ password: 'MARK-b', at: 4, version: 0.3 });
    for (let times = 0; times < 2; times += 1) await worker.handle(late);
    expect(worker.last()).toMatchObject(conflict);
    expect(bench.topics.deadLetters).toHaveLength(1);
    expect(await value(bench)).toBe('MARK-a');
    // It masks what the kept one was to set: it is applied, and that stays.
    expect(await worker.handle(eventRecord({ password: MASKED, at: 6, version: 0.4 }))).toBe('applied');
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'ORDER_CONFLICT' }]);
    await retry(worker);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await value(bench)).toBe('MARK-b');
    expect(await bench.kept()).toEqual([]);
    expect(await worker.handle(late)).toBe('duplicate');
    expect(await worker.handle(eventRecord({ password: 'MARK-c', at: 7, version: 0.5 }))).toBe('applied');
    expect(await value(bench)).toBe('MARK-c');
    await bench.expectNoLeak();
  });

  it('is gone with a later state that has the secret, or with the connection', async () => {
    for (const later of [eventRecord({ password: 'MARK-c', at: 6, version: 0.4 }), deletion(7)]) {
      const { bench, worker } = await openBench();
      await worker.handle(eventRecord({ password: 'MARK-a', at: 5, version: 0.2 }));
      await worker.handle(eventRecord({ password: 'MARK-b', at: 4, version: 0.3 }));
      expect(await worker.handle(later)).toBe('applied');
      expect(await bench.kept()).toEqual([]);
      expect(await bench.query(`SELECT 1 FROM audit WHERE action = 'supersede'`)).toHaveLength(1);
    }
  });

  it.each<[string, Parameters<typeof eventRecord>[0], Parameters<typeof eventRecord>[1]]>([
    ['with the same secret', { password: 'MARK-a', version: 0.3, config: { hostPort: 'b' } }, {}],
    ['that masks it', { password: MASKED, version: 0.3 }, {}],
    ['but a lower version', { password: 'MARK-b', version: 0.1 }, {}],
    ['but no version', { password: 'MARK-b', version: null }, {}],
    ['published before the applied one: a replay', { password: 'MARK-b', version: 0.3 }, { offset: 0 }],
  ])('%s is stale', async (_, spec, place) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 5, version: 0.2 }));
    expect(await worker.handle(eventRecord({ at: 4, ...spec }, place))).toBe('stale');
    expect(await value(bench)).toBe('MARK-a');
    expect(await bench.kept()).toEqual([]);
  });
});
