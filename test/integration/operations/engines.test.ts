import { describe, expect, it } from 'vitest';
import { createDatabase, describeWith, type DatabaseEngine } from '../../harness/index.js';
import { eventRecord, PASSWORD_ID, PASSWORD_PATH } from '../pipeline/events.js';
import { Bench } from '../secrets/fixture.js';

function janitorOn(engine: DatabaseEngine): void {
  it('deletes after the grace, says whose act it was, and lets the name be used again', async () => {
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
