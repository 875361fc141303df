import Sqlite from 'better-sqlite3';
import type { DataSource, EntityManager } from 'typeorm';
import { ConfigurationError } from '../errors.js';
import { nativeModuleError } from '../native-module.js';
import { makePrivate, tighten } from '../private-file.js';

/** What TypeORM's driver holds: its one connection, and the runner in which it counts open transactions. */
interface SqliteDriver {
  readonly databaseConnection: { readonly inTransaction: boolean; exec(sql: string): unknown };
  queryRunner: unknown;
}

/**
 * Runs `work` in one transaction of SQLite. SQLite ends a transaction by itself if the disk is full or fails. TypeORM's
 * roll-back fails then: it still counts the transaction as open and nests all later ones in it. If one of those failed,
 * the outer one would stay open, and nothing would be committed any more.
 */
export async function sqliteTransaction<T>(
  dataSource: DataSource,
  work: (manager: EntityManager) => Promise<T>,
): Promise<T> {
  try {
    return await dataSource.transaction(work);
  } catch (error) {
    startAfresh(dataSource.driver as unknown as SqliteDriver);
    throw error;
  }
}

function startAfresh(driver: SqliteDriver): void {
  if (driver.databaseConnection.inTransaction) driver.databaseConnection.exec('ROLLBACK');
  driver.queryRunner = undefined;
}

export interface SqliteFileLock {
  release(): void;
}

/**
 * The right to work on a SQLite database: one process at a time. An open write transaction on a file beside it, so that
 * the system gives the lock back when the process dies, however it dies, and readers of the database are not kept out.
 */
export function lockSqliteFile(file: string): SqliteFileLock | null {
  if (file === ':memory:') return null;
  const database = openLockFile(file);
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch {
    database.close();
    throw new ConfigurationError('DATABASE_IN_USE', `another process works on the SQLite database ${file}`);
  }
  return { release: () => database.close() };
}

function openLockFile(file: string): Sqlite.Database {
  try {
    // Before SQLite opens it: hosts and user names lie in it in clear. What SQLite makes beside it takes its mode.
    makePrivate(file);
    for (const beside of ['-wal', '-shm', '-journal']) tighten(file + beside);
    makePrivate(`${file}-lock`);
    return new Sqlite(`${file}-lock`, { timeout: 0 });
  } catch (error) {
    const unloadable = nativeModuleError(error);
    if (unloadable !== null) throw unloadable;
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `DATABASE_URL: the SQLite database ${file} cannot be opened; check that its folder exists and may be written to`,
    );
  }
}
