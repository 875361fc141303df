import { chmodSync, closeSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';

/** Values are sealed one by one; names, owners and versions lie in clear, as they do in a cloud store's console. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS secret (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    current INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS version (
    version INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    secret_id TEXT NOT NULL REFERENCES secret (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    client_token TEXT NOT NULL,
    sealed TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS version_by_secret ON version (secret_id, version);
`;

const APPLICATION_ID = 0x43_53_57_56;

/** The file is there, but it is no vault of ours: nothing is written to it. */
export class NotAVaultError extends Error {
  override readonly name = 'NotAVaultError';
}

/** SQLite's own name for a database that ends with its process. */
const IN_MEMORY = ':memory:';

/**
 * Opens or makes the vault file. It is readable by its owner only, as are the files SQLite puts beside it (they take
 * over its mode).
 *
 * @throws NotAVaultError for another program's SQLite file; SQLite's own errors for a file that can not be opened
 */
export function openVaultFile(file: string, busyTimeoutMs: number): Database.Database {
  if (file !== IN_MEMORY) {
    // Made with its mode before SQLite opens it: otherwise it would be readable by others for a moment.
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  }
  const database = new Database(file, { timeout: busyTimeoutMs });
  try {
    prepare(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function prepare(database: Database.Database): void {
  const applicationId = Number(database.pragma('application_id', { simple: true }));
  const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (applicationId !== APPLICATION_ID && tables !== 0) throw new NotAVaultError('not a vault file');
  database.pragma('journal_mode = WAL');
  // A vault that loses a password at a power cut would break the first promise.
  database.pragma('synchronous = FULL');
  database.pragma('foreign_keys = ON');
  // What is deleted is overwritten: sealed or not, it is gone.
  database.pragma('secure_delete = ON');
  if (applicationId === APPLICATION_ID) return;
  database
    .transaction(() => {
      database.exec(SCHEMA);
      database.pragma(`application_id = ${APPLICATION_ID}`);
    })
    .immediate();
}
