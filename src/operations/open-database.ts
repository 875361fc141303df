import { existsSync } from 'node:fs';
import type { Config } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Database } from '../database/database.js';
import type { DatabaseIdentity } from '../database/settings.js';

/** Why there is no database to read; null: there may be one. */
export function missingDatabase({ database: { address } }: Config<never>): string | null {
  if (address.type !== 'sqlite') return null;
  if (address.file === ':memory:') return 'DATABASE_URL is sqlite::memory:, which ends with its process';
  return existsSync(address.file) ? null : `DATABASE_URL: the SQLite file ${address.file} does not exist`;
}

/**
 * Opens the database for reading only and closes it after `work`. A worker may run at the same time.
 * @throws ConfigurationError CONFIG_INVALID if there is none, SCHEMA_OUTDATED, SCHEMA_TOO_NEW
 */
export async function readDatabase<T>(
  config: Config<never>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  return openForReading(config, async (database) => {
    const { requireCurrentSchema } = await import('../database/schema.js');
    await requireCurrentSchema(database);
    return work(database);
  });
}

/** The same, but with any schema. */
export async function openForReading<T>(
  config: Config<never>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const missing = missingDatabase(config);
  if (missing !== null)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `${missing}: run \`start\` or \`pipe\` first, which make the database`,
    );
  const { Database } = await import('../database/database.js');
  const { address, poolSize } = config.database;
  const database = await Database.open({ address, poolSize }, { access: 'read' });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/**
 * Opens the database, with any schema, to change it, and closes it after `work`.
 * @throws ConfigurationError DATABASE_IN_USE if another process has the SQLite file open
 */
export async function openForWriting<T>(
  config: Config<never>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const { COMMAND_LOCK_WAIT_MS, Database } = await import('../database/database.js');
  const { address, poolSize } = config.database;
  const database = await Database.open(
    { address, poolSize },
    { access: 'write', lockWaitMs: COMMAND_LOCK_WAIT_MS },
  );
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

/** The same, but only with the schema of this version. @throws ConfigurationError SCHEMA_OUTDATED, SCHEMA_TOO_NEW */
export async function writeDatabase<T>(
  config: Config<never>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  return openForWriting(config, async (database) => {
    const { requireCurrentSchema } = await import('../database/schema.js');
    await requireCurrentSchema(database);
    return work(database);
  });
}

/** @throws ConfigurationError KEY_MISMATCH; CONFIG_INVALID if no worker has ever started on this database */
export async function requireIdentity(
  database: Database,
  keys: Config<'keys'>['keys'],
): Promise<DatabaseIdentity> {
  const { openIdentity } = await import('../database/settings.js');
  return (await openIdentity(database, keys)) ?? refuseUnused();
}

/** @throws ConfigurationError CONFIG_INVALID */
export function refuseUnused(): never {
  throw new ConfigurationError(
    'CONFIG_INVALID',
    'the database is empty: no worker has started on it yet. Run `start` or `pipe` first',
  );
}

/** @throws ConfigurationError USAGE_INVALID naming the ids that the database does not know */
export async function requireConnections(database: Database, ids: readonly string[]): Promise<void> {
  const missing: string[] = [];
  for (const id of ids)
    if (!(await database.run(({ manager, tables }) => manager.existsBy(tables.connection, { id }))))
      missing.push(id);
  if (missing.length > 0)
    throw new ConfigurationError('USAGE_INVALID', `the database knows no connection ${missing.join(', ')}`);
}
