import { existsSync } from 'node:fs';
import type { Config } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Database } from '../database/database.js';

/** Why there is nothing to read yet; null: there may be. */
export function missingDatabase({ database: { address } }: Config<never>): string | null {
  if (address.type !== 'sqlite') return null;
  if (address.file === ':memory:') return 'DATABASE_URL is sqlite::memory:, which ends with its process';
  return existsSync(address.file) ? null : `DATABASE_URL: the SQLite file ${address.file} does not exist`;
}

/**
 * Opens the database for reading only, beside a worker that may be running, and closes it after `work`.
 * @throws ConfigurationError CONFIG_INVALID where there is none, SCHEMA_OUTDATED, SCHEMA_TOO_NEW
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

/** The same whatever the schema is. */
export async function openForReading<T>(
  config: Config<never>,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const missing = missingDatabase(config);
  if (missing !== null)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `${missing}: \`start\` and \`pipe\` make it on their first run`,
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
 * Opens the database to change it, whatever its schema is, and closes it after `work`.
 * @throws ConfigurationError DATABASE_IN_USE where a process works on the SQLite file
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

/** The same for a schema that is this program's. */
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
