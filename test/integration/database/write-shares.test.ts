import { expect, it } from 'vitest';
import { WriteLimits } from '../../../src/worker/write-limits.js';
import type { Database } from '../../../src/database/database.js';
import type { WriteShareEntry } from '../../../src/database/rows.js';
import { migrateSchema } from '../../../src/database/schema.js';
import { changeWriteShares } from '../../../src/database/write-shares.js';
import { LEASE_MS, type ChangeShares } from '../../../src/secrets-managers/shared-limiter.js';
import { createDatabase, queryDatabase, waitFor, type DatabaseEngine } from '../../harness/index.js';
import { WriteFleet } from '../../harness/write-fleet.js';
import { describeEngines, execute, openDatabase } from './support.js';

const ROWS = `SELECT name, value FROM setting WHERE name LIKE 'write_shares%' ORDER BY name`;
const QUOTA = 20;

/** One database as two processes have it; a SQLite file has one. */
async function openTwice(engine: DatabaseEngine): Promise<{ url: string; databases: [Database, Database] }> {
  const { url } = await createDatabase(engine);
  const first = await openDatabase(url);
  await migrateSchema(first);
  return { url, databases: [first, engine === 'sqlite' ? first : await openDatabase(url)] };
}

function entry(process: string, more: Partial<WriteShareEntry> = {}): WriteShareEntry {
  return { process, limit: QUOTA, wanted: 1.25, granted: 0.5, expiresAtMs: 5, ...more };
}

const put = (database: Database, process: string) =>
  changeWriteShares(database, 'managed-aws', (shares) => ({ shares: [...shares, entry(process)] }));

describeEngines('shares of the write limit', (engine) => {
  it('what one process writes the others read, with the database’s time; each store has its own', async () => {
    const { url, databases } = await openTwice(engine);
    const [one, other] = databases;
    expect(await queryDatabase({ url }, ROWS)).toEqual([]);
    const none = await changeWriteShares(one, 'managed-aws', (shares, nowMs) => ({ shares, nowMs }));
    expect(none.shares).toEqual([]);
    expect(Math.abs(none.nowMs - Date.now())).toBeLessThan(60_000);
    // Nothing is written where there is nothing to say.
    expect(await queryDatabase({ url }, ROWS)).toEqual([]);
    await put(one, 'a');
    await put(other, 'b');
    await changeWriteShares(other, 'managed-aws-ssm', () => ({ shares: [entry('c')] }));
    const read = await changeWriteShares(one, 'managed-aws', (shares) => ({ shares }));
    expect(read.shares).toEqual([entry('a'), entry('b')]);
    expect((await queryDatabase({ url }, ROWS)).map(({ name }) => name)).toEqual([
      'write_shares/managed-aws',
      'write_shares/managed-aws-ssm',
    ]);
  });

  it('of changes at the same time none is lost, also of the first', async () => {
    const { databases } = await openTwice(engine);
    const names = Array.from({ length: 24 }, (_, index) => `p${index}`);
    const writers = [0, 1, 2, 3].map(async (lane) => {
      for (const name of names.filter((_, index) => index % 4 === lane))
        await put(databases[lane % 2] ?? databases[0], name);
    });
    await Promise.all(writers);
    const { shares } = await changeWriteShares(databases[0], 'managed-aws', (shares) => ({ shares }));
    expect(shares.map(({ process }) => process).sort()).toEqual([...names].sort());
  });

  it('what cannot be read is nobody’s share, and is replaced', async () => {
    const { databases } = await openTwice(engine);
    const [database] = databases;
    for (const value of [
      '{"no": "list"}',
      'no JSON',
      '[1, null, {"process": "x"}, {"process": "x", "limit": -1}]',
    ]) {
      await execute(database, `DELETE FROM setting WHERE name LIKE 'write_shares%'`);
      await execute(
        database,
        `INSERT INTO setting (name, value) VALUES ('write_shares/managed-aws', '${value}')`,
      );
      await put(database, 'a');
      const { shares } = await changeWriteShares(database, 'managed-aws', (shares) => ({ shares }));
      expect(shares).toEqual([entry('a')]);
    }
  });

  it('two workers have half each and use all of it without a throttle; one that is killed leaves it to the other', async () => {
    const { databases } = await openTwice(engine);
    const fleet = new WriteFleet(QUOTA);
    const through =
      (database: Database): ChangeShares =>
      (change) =>
        changeWriteShares(database, 'managed-aws', change);
    const [a, b] = databases.map((database) => fleet.worker({ changeShares: through(database), lanes: 8 }));
    if (a === undefined || b === undefined) throw new TypeError('two workers are needed');
    await fleet.run(4_000);
    expect([a, b].map(({ limiter }) => limiter.ratePerSecond)).toEqual([QUOTA / 2, QUOTA / 2]);
    const [ofA, ofB] = [a.written, b.written];
    await fleet.run(16_000);
    for (const written of [a.written - ofA, b.written - ofB])
      expect(written).toBeGreaterThanOrEqual(0.95 * (QUOTA / 2) * 16);
    expect(fleet.written).toBeGreaterThanOrEqual(0.95 * QUOTA * 20);
    expect(fleet.throttles).toBe(0);
    b.kill();
    // Its share expires by the database's clock, which runs by itself.
    const killedAtMs = performance.now();
    await waitFor(
      async () => {
        await fleet.run(100);
        return a.limiter.ratePerSecond === QUOTA;
      },
      { what: 'the killed one’s share', timeoutMs: 30_000 },
    );
    expect(performance.now() - killedAtMs).toBeGreaterThan(LEASE_MS / 2);
    await a.limiter.close();
    const { shares } = await changeWriteShares(databases[0], 'managed-aws', (shares) => ({ shares }));
    expect(shares.filter(({ granted }) => granted > 0)).toEqual([]);
    expect([...a.failures, ...b.failures]).toEqual([]);
  });

  it('a process takes part with its first write, for each store it writes to', async () => {
    const { url, databases } = await openTwice(engine);
    const limits = new WriteLimits({ database: databases[0], writesPerSecond: QUOTA });
    limits.of('managed-aws-ssm').throttled();
    expect(await queryDatabase({ url }, ROWS)).toEqual([]);
    await limits.of('managed-aws').acquire(new AbortController().signal);
    const rows = await queryDatabase({ url }, ROWS);
    // A SQLite file has one process that writes: nobody to share with.
    expect(rows.map(({ name }) => name)).toEqual(engine === 'sqlite' ? [] : ['write_shares/managed-aws']);
    await limits.close();
    for (const { value } of await queryDatabase({ url }, ROWS)) expect(value).toBe('[]');
  });
});
