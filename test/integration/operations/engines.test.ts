import { describe, expect, it } from 'vitest';
import type { ManagerName } from '../../../src/terms.js';
import { createDatabase, describeWith, type DatabaseEngine } from '../../harness/index.js';
import {
  deletion,
  eventRecord,
  OTHER,
  PASSWORD_ID,
  PASSWORD_PATH,
} from '../../components/pipeline/events.js';
import { Bench } from '../../components/secrets/fixture.js';

function janitorOn(engine: DatabaseEngine): void {
  it('deletes after the grace, audits who did it, and lets the name be used again', async () => {
    const { url } = await createDatabase(engine);
    const bench = await Bench.open({ DATABASE_URL: url });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: null, at: 2, eventId: 'e2', actor: 'ann' }));
    expect((await bench.tidy()).deleted).toBe(0);
    await bench.endGrace();
    const [one, two] = await Promise.all([
      bench.tidy(),
      bench.otherJanitor().run(new AbortController().signal),
    ]);
    expect(one.deleted + two.deleted).toBe(1);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleted' });
    expect(await bench.query(`SELECT * FROM audit WHERE action = 'delete'`)).toMatchObject([
      { path: PASSWORD_PATH, secret_id: PASSWORD_ID, event_id: 'e2', actor: 'ann' },
    ]);
    await bench.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it('retries at once the event that collided with a name that is free now, and no other', async () => {
    const { url } = await createDatabase(engine);
    const bench = await Bench.open({ DATABASE_URL: url });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ id: 'c3', name: 'kept', password: 'MARK-c', at: 1 }));
    await bench.handle(deletion(2));
    await bench.handle(eventRecord({ id: OTHER, password: 'MARK-b', at: 3 }));
    await bench.handle(eventRecord({ id: 'c4', name: 'kept', password: 'MARK-d', at: 3 }));
    await bench.endGrace();
    expect((await bench.tidy()).deleted).toBe(1);
    expect(await bench.worker.pipeline.retryKept(new AbortController().signal)).toBe(1);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await bench.query('SELECT connection_id FROM dead_letter')).toEqual([{ connection_id: 'c4' }]);
  });

  it('says when it can look at the next name in doubt', async () => {
    const { url } = await createDatabase(engine);
    const bench = await Bench.open({ DATABASE_URL: url });
    const { worker } = bench;
    const doubtMs = (withinMs: number, except: readonly ManagerName[] = []) =>
      worker.ledger.doubtMs({ withinMs, lateRequestMs: 1_000, except });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    expect(await doubtMs(60_000)).toBeNull();
    await bench.change(`UPDATE stored_secret SET suspect_until_ms = ${Date.now() + 50_000}`);
    expect(await doubtMs(40_000.5)).toBeNull();
    expect(await doubtMs(60_000, [worker.manager.name])).toBeNull();
    const leftMs = await doubtMs(60_000);
    expect(leftMs).toBeGreaterThan(40_000);
    expect(leftMs).toBeLessThanOrEqual(50_000);
    await bench.change(`UPDATE stored_secret SET state = 'writing', suspect_until_ms = NULL`);
    await bench.change(`UPDATE connection SET claim_expires_at_ms = ${Date.now() + 5_000}`);
    expect(await doubtMs(2_000)).toBeNull();
    expect(await doubtMs(6_000)).toBeGreaterThan(2_000);
    // In doubt from before, and being written by somebody whose claim is his.
    await bench.change('UPDATE stored_secret SET suspect_until_ms = 1');
    expect(await doubtMs(2_000)).toBeNull();
    await bench.expireClaims();
    expect(await doubtMs(1_000)).toBe(0);
  });
}

describe('the janitor on SQLite', () => {
  janitorOn('sqlite');
});
describeWith(['postgres'], 'the janitor on PostgreSQL', () => {
  janitorOn('postgres');
});
describeWith(['mariadb'], 'the janitor on MariaDB', () => {
  janitorOn('mariadb');
});
