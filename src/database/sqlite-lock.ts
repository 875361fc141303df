import Sqlite from 'better-sqlite3';
import { ConfigurationError } from '../errors.js';
import { nativeModuleError } from '../native-module.js';
import { makePrivate, tighten } from '../private-file.js';

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
