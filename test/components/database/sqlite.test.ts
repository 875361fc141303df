import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkDatabase } from '../../../src/cli/doctor-database.js';
import { migrateSchema } from '../../../src/database/schema.js';
import {
  createDatabase,
  disposeLater,
  PROJECT_DIR,
  queryDatabase,
  startProcess,
  waitFor,
} from '../../harness/index.js';
import { configFor, execute, openDatabase } from '../../integration/database/support.js';

describe('the lock of a SQLite database', () => {
  it('one process works; readers are let in and see what is committed', async () => {
    const { url } = await createDatabase('sqlite');
    const first = await openDatabase(url);
    await migrateSchema(first);
    await expect(openDatabase(url)).rejects.toMatchObject({ code: 'DATABASE_IN_USE', kind: 'configuration' });
    const reader = await openDatabase(url, 'read');
    await execute(first, `INSERT INTO setting (name, value) VALUES ('x', 'y')`);
    expect(await execute(reader, `SELECT value FROM setting WHERE name = 'x'`)).toEqual([{ value: 'y' }]);
    await expect(execute(reader, `DELETE FROM setting`)).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    await first.close();
    await (await openDatabase(url)).close();
  });

  it('is given back when its process is killed', async () => {
    const { url } = await createDatabase('sqlite');
    const script = join(PROJECT_DIR, 'test/components/database/hold-lock.ts');
    const holder = startProcess({
      command: process.execPath,
      args: ['--import', 'tsx', script, url.slice('sqlite:'.length)],
    });
    disposeLater(() => holder.kill());
    await holder.waitForLine(/locked/);
    await expect(openDatabase(url)).rejects.toMatchObject({ code: 'DATABASE_IN_USE' });
    holder.kill();
    await waitFor(() => openDatabase(url).then((database) => database.close().then(() => true)), {
      what: 'the lock',
    });
  });
});

describe('the files of a SQLite database', () => {
  const modesOf = (file: string): Record<string, string> =>
    Object.fromEntries(
      ['', '-lock', '-wal', '-shm'].map((end) => [end, (statSync(file + end).mode & 0o777).toString(8)]),
    );
  const PRIVATE = { '': '600', '-lock': '600', '-wal': '600', '-shm': '600' };

  it.each([0, 0o022, 0o277])('are their owner’s alone under any umask: %i', async (umask) => {
    const { url } = await createDatabase('sqlite');
    const before = process.umask(umask);
    try {
      await migrateSchema(await openDatabase(url));
    } finally {
      process.umask(before);
    }
    expect(modesOf(url.slice('sqlite:'.length))).toEqual(PRIVATE);
  });

  it('are closed to others where an earlier version left them open, of which `doctor` warns', async () => {
    const { url } = await createDatabase('sqlite');
    const file = url.slice('sqlite:'.length);
    const first = await openDatabase(url);
    await migrateSchema(first);
    await first.close();
    writeFileSync(`${file}-wal`, '');
    for (const end of ['', '-lock', '-wal']) chmodSync(file + end, 0o644);
    const [warning] = await checkDatabase(configFor(url));
    expect(warning).toMatchObject({ check: 'database', result: 'warning' });
    expect(warning?.remedy).toContain(`chmod 600 ${file}`);
    const second = await openDatabase(url);
    await execute(second, `INSERT INTO setting (name, value) VALUES ('x', 'y')`);
    expect(modesOf(file)).toEqual(PRIVATE);
    const [healthy] = await checkDatabase(configFor(url));
    expect(healthy).toMatchObject({ check: 'database', result: 'ok' });
  });
});

describe('a SQLite database whose disk is full', () => {
  const filled = (n: number): string =>
    `INSERT INTO setting (name, value) VALUES ('big-${n}', '${'x'.repeat(200_000)}')`;

  it('is passing, undoes the transaction, and what comes later is committed', async () => {
    const { url } = await createDatabase('sqlite');
    const database = await openDatabase(url);
    await migrateSchema(database);
    const pages = (limit: number): Promise<unknown> => execute(database, `PRAGMA max_page_count = ${limit}`);
    const names = async (): Promise<unknown[]> =>
      (await queryDatabase({ url }, `SELECT name FROM setting WHERE name LIKE 'big-%' ORDER BY name`)).map(
        ({ name }) => name,
      );
    const insert = (n: number): Promise<unknown> =>
      database.transaction(({ manager }) => manager.query<unknown>(filled(n)));

    // As many pages as there are: SQLite takes no smaller limit.
    await pages(1);
    for (const n of [1, 2, 3])
      await expect(insert(n)).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
        failure: 'transient',
        message: expect.stringContaining('SQLITE_FULL') as string,
      });
    await pages(1_000_000);
    // An ordinary failure, which SQLite does not undo by itself.
    await expect(
      database.transaction(async ({ manager }) => {
        await manager.query(filled(4));
        throw new TypeError('defect');
      }),
    ).rejects.toThrow('defect');
    expect(await names()).toEqual([]);
    await insert(5);
    // Seen from outside: committed, not only done.
    expect(await names()).toEqual(['big-5']);
  });
});
