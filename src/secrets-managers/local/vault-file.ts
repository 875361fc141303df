import Database from 'better-sqlite3';
import { makePrivate } from '../../private-file.js';

/** Values are sealed one by one; names, owners and versions lie in clear, as they do in a cloud store's console. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS secret (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    current INTEGER NOT NULL,
    installation TEXT,
    adopted INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS version (
    version INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    secret_id TEXT NOT NULL REFERENCES secret (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    client_token TEXT NOT NULL,
    sealed TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS version_by_secret ON version (secret_id, version);
`;

/** What version 0.1 did not have. */
const ADDED_COLUMNS = [
  ['installation', 'TEXT'],
  ['adopted', 'INTEGER'],
] as const;

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
 * @throws NotAVaultError for another program's SQLite file; SQLite's own errors for a file that cannot be opened
 */
export function openVaultFile(file: string, busyTimeoutMs: number): Database.Database {
  // Before SQLite opens it: otherwise others could read it for a moment.
  if (file !== IN_MEMORY) makePrivate(file);
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
  database
    .transaction(() => {
      if (applicationId === APPLICATION_ID) {
        // A vault that version 0.1 made.
        const columns = database.pragma('table_info(secret)') as { name: string }[];
        for (const [added, type] of ADDED_COLUMNS)
          if (columns.every(({ name }) => name !== added))
            database.exec(`ALTER TABLE secret ADD COLUMN ${added} ${type}`);
        return;
      }
      database.exec(SCHEMA);
      database.pragma(`application_id = ${APPLICATION_ID}`);
    })
    .immediate();
}
