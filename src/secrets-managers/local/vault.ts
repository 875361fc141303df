import type Database from 'better-sqlite3';
import type { Owner } from '../ownership.js';

const VERSIONS_KEPT = 100;

export interface VaultSecret {
  readonly owner: Owner | null;
  readonly current: number;
}

export interface VaultVersion {
  readonly version: number;
  readonly requestKey: string;
  readonly sealed: string;
}

interface SecretRow {
  id: string;
  owner: string | null;
  installation: string | null;
  /** 1: see {@link Owner.isAdopted}. */
  adopted: number | null;
  current: number;
}

interface VersionRow {
  version: number;
  client_token: string;
  sealed: string;
}

/** The vault's statements: sealed texts in and out, no keys. Synchronous, as better-sqlite3 is. */
export class Vault {
  readonly #database: Database.Database;

  constructor(database: Database.Database) {
    this.#database = database;
  }

  /** Runs `work` in one transaction that holds the write lock from its start. */
  write<T>(work: () => T): T {
    return this.#database.transaction(work).immediate();
  }

  secret(id: string): VaultSecret | null {
    const row = this.#database.prepare<[string], SecretRow>('SELECT * FROM secret WHERE id = ?').get(id);
    return row === undefined ? null : { owner: ownerOf(row), current: row.current };
  }

  /** Owned secrets whose id begins with `prefix`, behind an id, in their order. */
  ownedAfter(prefix: string, after: string, limit: number): { id: string; owner: Owner | null }[] {
    return this.#database
      .prepare<[string, number, string, number], SecretRow>(
        `SELECT * FROM secret
         WHERE id > ? AND substr(id, 1, ?) = ? AND owner IS NOT NULL ORDER BY id LIMIT ?`,
      )
      .all(after, prefix.length, prefix, limit)
      .map((row) => ({ id: row.id, owner: ownerOf(row) }));
  }

  version(id: string, version: number): VaultVersion | null {
    return this.#oneVersion('secret_id = ? AND version = ?', id, version);
  }

  versionByToken(id: string, requestKey: string): VaultVersion | null {
    return this.#oneVersion('secret_id = ? AND client_token = ?', id, requestKey);
  }

  /** Adds a version, makes it the current one, sets the owner and forgets the oldest beyond the hundred kept. */
  add(id: string, owner: Owner, requestKey: string, sealed: string): number {
    const { lastInsertRowid } = this.#database
      .prepare('INSERT INTO version (secret_id, client_token, sealed) VALUES (?, ?, ?)')
      .run(id, requestKey, sealed);
    const version = Number(lastInsertRowid);
    this.#database
      .prepare(
        `INSERT INTO secret (id, owner, installation, adopted, current) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, installation = excluded.installation,
           adopted = excluded.adopted, current = excluded.current`,
      )
      .run(id, owner.connectionId, owner.installation, asFlag(owner), version);
    this.#database
      .prepare(
        `DELETE FROM version WHERE secret_id = ? AND version <= (
           SELECT version FROM version WHERE secret_id = ? ORDER BY version DESC LIMIT 1 OFFSET ?)`,
      )
      .run(id, id, VERSIONS_KEPT);
    return version;
  }

  setCurrent(id: string, version: number): void {
    this.#database.prepare('UPDATE secret SET current = ? WHERE id = ?').run(version, id);
  }

  setOwner(id: string, owner: Owner): void {
    this.#database
      .prepare('UPDATE secret SET owner = ?, installation = ?, adopted = ? WHERE id = ?')
      .run(owner.connectionId, owner.installation, asFlag(owner), id);
  }

  delete(id: string): void {
    this.#database.prepare('DELETE FROM secret WHERE id = ?').run(id);
  }

  count(): number {
    return Number(this.#database.prepare('SELECT count(*) FROM secret').pluck().get());
  }

  countVersionsAfter(after: number): number {
    return Number(
      this.#database.prepare('SELECT count(*) FROM version WHERE version > ?').pluck().get(after),
    );
  }

  /** Versions after `after`, oldest first: for sealing them anew in batches. */
  versionsAfter(after: number, limit: number): VaultVersion[] {
    return this.#database
      .prepare<[number, number], VersionRow>(
        'SELECT version, client_token, sealed FROM version WHERE version > ? ORDER BY version LIMIT ?',
      )
      .all(after, limit)
      .map(asVersion);
  }

  reseal(version: number, sealed: string): void {
    this.#database.prepare('UPDATE version SET sealed = ? WHERE version = ?').run(sealed, version);
  }

  close(): void {
    this.#database.close();
  }

  #oneVersion(condition: string, id: string, key: number | string): VaultVersion | null {
    const row = this.#database
      .prepare<[string, number | string], VersionRow>(
        `SELECT version, client_token, sealed FROM version WHERE ${condition}`,
      )
      .get(id, key);
    return row === undefined ? null : asVersion(row);
  }
}

function ownerOf({ owner, installation, adopted }: SecretRow): Owner | null {
  if (owner === null) return null;
  return { connectionId: owner, installation, ...(adopted === 1 ? { isAdopted: true } : {}) };
}

function asFlag({ isAdopted = false }: Owner): number | null {
  return isAdopted ? 1 : null;
}

function asVersion(row: VersionRow): VaultVersion {
  return { version: row.version, requestKey: row.client_token, sealed: row.sealed };
}
