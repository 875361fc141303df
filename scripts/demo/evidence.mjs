import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';

/** What lies in the files, read with plain SQL and not through the program. */
export class Evidence {
  #dir;
  #databaseFile;
  #vaultFile;

  constructor(dir, databaseFile, vaultFile) {
    this.#dir = dir;
    this.#databaseFile = databaseFile;
    this.#vaultFile = vaultFile;
  }

  connection(id) {
    return this.#one(
      this.#databaseFile,
      'SELECT id, name, state, manager, revision, operation, entity FROM connection WHERE id = ?',
      id,
    );
  }

  reference(connectionId) {
    return this.#one(
      this.#databaseFile,
      'SELECT path, secret_id, owned, sealed, fingerprint FROM secret_reference WHERE connection_id = ?',
      connectionId,
    );
  }

  vaultEntry(secretId) {
    return this.#one(
      this.#vaultFile,
      `SELECT secret.id, secret.owner, version.version, version.sealed FROM secret
       JOIN version ON version.secret_id = secret.id AND version.version = secret.current WHERE secret.id = ?`,
      secretId,
    );
  }

  /** How many values of connections were ever written to the vault: it also remembers who works on it. */
  vaultWrites() {
    return this.#one(
      this.#vaultFile,
      `SELECT count(*) AS count FROM version JOIN secret ON version.secret_id = secret.id
       WHERE secret.owner <> 'connection-secrets-worker'`,
    ).count;
  }

  /** What became of an event: `{outcome, code}`. */
  outcome(eventId) {
    return this.#one(this.#databaseFile, 'SELECT outcome, code FROM inbox WHERE event_id = ?', eventId);
  }

  /** Store writes by event, as the audit has them. */
  writes(eventId) {
    return this.#one(
      this.#databaseFile,
      `SELECT count(*) AS count FROM audit WHERE event_id = ? AND action IN ('create', 'update')`,
      eventId,
    ).count;
  }

  deadLetter(eventId) {
    return this.#one(
      this.#databaseFile,
      'SELECT code, detail, payload FROM dead_letter WHERE event_id = ?',
      eventId,
    );
  }

  /** The files of the folder that hold one of these texts in clear, byte by byte. */
  filesWith(texts) {
    const isHit = (bytes) => texts.some((text) => bytes.includes(Buffer.from(text, 'utf8')));
    return readdirSync(this.#dir).filter((file) => isHit(readFileSync(join(this.#dir, file))));
  }

  #one(file, sql, ...parameters) {
    const database = new Sqlite(file, { readonly: true, fileMustExist: true });
    try {
      return database.prepare(sql).get(...parameters);
    } finally {
      database.close();
    }
  }
}
