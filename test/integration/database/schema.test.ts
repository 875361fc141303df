import { expect, it } from 'vitest';
import { openMigratedDatabase } from '../../../src/worker/worker.js';
import { Database } from '../../../src/database/database.js';
import { migrateSchema, revertSchema, schemaStatus } from '../../../src/database/schema.js';
import { loadIdentity } from '../../../src/database/settings.js';
import { createDatabase, queryDatabase, TABLES } from '../../harness/index.js';
import { configFor, describeEngines, execute, openDatabase } from './support.js';

describeEngines('the schema', (engine) => {
  it('goes up, back and up again, and is then what the entities say', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    const ran = await migrateSchema(database);
    expect(ran.length).toBeGreaterThan(0);
    // A table that is missing there would be missing in every search for leaks.
    expect(
      Object.values(database.tables)
        .map(({ options }) => options.tableName ?? options.name)
        .sort(),
    ).toEqual([...TABLES].sort());
    expect(await migrateSchema(database)).toEqual([]);
    for (const name of [...ran].reverse()) expect(await revertSchema(database, null)).toBe(name);
    expect(await revertSchema(database, null)).toBeNull();
    await expect(queryDatabase({ url }, 'SELECT * FROM connection')).rejects.toThrow();
    expect(await migrateSchema(database)).toEqual(ran);
    // Compared as MySQL, MariaDB's way to say that a column has no default looks like a difference.
    if (engine === 'mariadb') Object.assign(database.dataSource.driver.options, { type: 'mariadb' });
    const { upQueries, downQueries } = await database.dataSource.driver.createSchemaBuilder().log();
    expect([...upQueries, ...downQueries].map(({ query }) => query)).toEqual([]);
    expect(await schemaStatus(database)).toEqual({ executed: ran, pending: [], unknown: [] });
  });

  it('is finished where a process died in the middle of making it', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    const ran = await migrateSchema(database);
    // MySQL and MariaDB keep each table that was made, whatever becomes of the transaction.
    for (const name of ran.slice(1).reverse()) expect(await revertSchema(database, null)).toBe(name);
    await execute(database, 'DELETE FROM schema_migration');
    for (const table of ['operation', 'audit']) await execute(database, `DROP TABLE ${table}`);
    expect(await migrateSchema(database)).toEqual(ran);
    expect(await queryDatabase({ url }, 'SELECT * FROM operation')).toEqual([]);
    await execute(database, 'DROP TABLE operation');
    for (const name of [...ran].reverse()) expect(await revertSchema(database, null)).toBe(name);
  });

  it('is refused where a table of that name is somebody else’s', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    await execute(database, 'CREATE TABLE audit (entry integer)');
    await expect(migrateSchema(database)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('audit') as string,
    });
    expect(await queryDatabase({ url }, 'SELECT entry FROM audit')).toEqual([]);
  });

  it('is refused where it is newer than the program', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    await migrateSchema(database);
    await execute(
      database,
      `INSERT INTO schema_migration ("timestamp", name) VALUES (1999999999999, 'Later1999999999999')`.replaceAll(
        '"',
        engine === 'mariadb' ? '`' : '"',
      ),
    );
    const expected = {
      code: 'SCHEMA_TOO_NEW',
      message: expect.stringContaining('Later1999999999999') as string,
    };
    await expect(migrateSchema(database)).rejects.toMatchObject(expected);
    await expect(revertSchema(database, null)).rejects.toMatchObject(expected);
    await database.close();
    for (const migrate of ['auto', 'off'])
      await expect(openMigratedDatabase(configFor(url, { DATABASE_MIGRATE: migrate }))).rejects.toMatchObject(
        expected,
      );
  });

  it('DATABASE_MIGRATE=off: an outdated one is refused, a current one is not', async () => {
    const { url } = await createDatabase(engine);
    const off = configFor(url, { DATABASE_MIGRATE: 'off' });
    await expect(openMigratedDatabase(off)).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' });
    await (await openMigratedDatabase(configFor(url))).close();
    await (await openMigratedDatabase(off)).close();
  });

  it('remembers its identity; another key is noticed at once', async () => {
    const { url } = await createDatabase(engine);
    const config = configFor(url);
    const database = await openMigratedDatabase(config);
    const first = await loadIdentity(database, config.keys, 'in-memory');
    expect(await loadIdentity(database, config.keys, 'db')).toEqual(first);
    const other = configFor(url, { FERNET_KEY: 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=' }).keys;
    await expect(loadIdentity(database, other, 'in-memory')).rejects.toMatchObject({ code: 'KEY_MISMATCH' });
    const rows = JSON.stringify(await queryDatabase({ url }, 'SELECT * FROM setting'));
    expect(rows).not.toContain(first.fingerprintKey.toString('base64'));
    await database.close();
  });

  if (engine !== 'sqlite')
    it('is migrated once by workers that start together, with one identity', async () => {
      const { url } = await createDatabase(engine);
      const config = configFor(url);
      const { address, poolSize } = config.database;
      const databases = await Promise.all(
        Array.from({ length: 4 }, () => Database.open({ address, poolSize }, { access: 'write' })),
      );
      const ran = await Promise.all(databases.map((database) => migrateSchema(database)));
      expect(ran.filter((names) => names.length > 0)).toHaveLength(1);
      const identities = await Promise.all(
        databases.map((database) => loadIdentity(database, config.keys, 'in-memory')),
      );
      expect(new Set(identities.map(({ fingerprintKey }) => fingerprintKey.toString('hex'))).size).toBe(1);
      await Promise.all(databases.map((database) => database.close()));
    });
});
