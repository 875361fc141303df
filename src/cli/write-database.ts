import type { Config } from '../config.js';
import type { Database } from '../database/database.js';

/**
 * Opens the database to change it, whatever its schema is, and closes it after `work`.
 * @throws ConfigurationError DATABASE_IN_USE where a process works on the SQLite file
 */
export async function writeDatabase<T>(
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
