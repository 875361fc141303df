import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { migrateSchema } from '../../../src/database/schema.js';
import { createDatabase, disposeLater, PROJECT_DIR, startProcess, waitFor } from '../../harness/index.js';
import { execute, openDatabase } from './support.js';

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
    const script = join(PROJECT_DIR, 'test/integration/database/hold-lock.ts');
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
