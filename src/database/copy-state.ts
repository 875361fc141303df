import { In, type EntitySchema, type ObjectLiteral } from 'typeorm';
import { sha256Hex } from '../hash.js';
import { rowChunks, valueChunks } from './row-sql.js';
import type { Database } from './database.js';
import type { ConnectionRow, ReferenceRow } from './rows.js';
import { requireCurrentSchema, schemaStatus } from './schema.js';

/**
 * Copies rows from one database into another, so that decisions can be tried there without changing the first. It leaves
 * rows that the copy already has as they are, because later decisions have changed them there.
 */
export class StateCopy {
  readonly #from: Database;
  readonly #to: Database;

  constructor(from: Database, to: Database) {
    this.#from = from;
    this.#to = to;
  }

  /** Copies all settings, among them the database's identity. */
  async identity(): Promise<void> {
    await this.#copy('setting', {});
  }

  /** Copies these connections without their claims and unpublished marks: the first database's workers publish them. */
  async connections(ids: readonly string[]): Promise<ConnectionRow[]> {
    const found: ConnectionRow[] = [];
    for (const chunk of valueChunks(ids)) {
      const rows = await this.#read('connection', { id: In(chunk) });
      const free = rows.map((row) => ({
        ...row,
        claimOwner: null,
        claimExpiresAtMs: 0,
        unpublishedSinceMs: null,
      }));
      await this.#write('connection', free);
      await this.#copy('reference', { connectionId: In(chunk) });
      await this.#copy('storedSecret', { connectionId: In(chunk) });
      await this.#copy('deadLetter', { connectionId: In(chunk) });
      found.push(...free);
    }
    return found;
  }

  async inbox(eventHashes: readonly string[]): Promise<void> {
    for (const chunk of valueChunks(eventHashes)) await this.#copy('inbox', { eventHash: In(chunk) });
  }

  /** Copies the rows of these secret ids, which show who owns them. */
  async storedSecrets(secretIds: readonly string[]): Promise<void> {
    for (const chunk of valueChunks(secretIds.map(sha256Hex)))
      await this.#copy('storedSecret', { secretIdHash: In(chunk) });
  }

  async #copy(table: TableName, where: object): Promise<void> {
    await this.#write(table, await this.#read(table, where));
  }

  async #read<T extends TableName>(table: T, where: object): Promise<RowOf<T>[]> {
    return this.#from.run(({ manager, tables }) => manager.find(schemaOf<T>(tables, table), { where }));
  }

  async #write<T extends TableName>(table: T, rows: readonly RowOf<T>[]): Promise<void> {
    await this.#to.run(async ({ manager, tables }) => {
      for (const chunk of rowChunks(rows))
        await manager
          .createQueryBuilder()
          .insert()
          .into(schemaOf<T>(tables, table))
          .values(chunk)
          .orIgnore()
          .execute();
    });
  }
}

type TableName = keyof Database['tables'];
type RowOf<T extends TableName> =
  Database['tables'][T] extends EntitySchema<infer R extends ObjectLiteral> ? R : never;

/** The cast is needed because TypeScript does not relate a table's name to its row type through an index. */
function schemaOf<T extends TableName>(tables: Database['tables'], table: T): EntitySchema<RowOf<T>> {
  return tables[table] as unknown as EntitySchema<RowOf<T>>;
}

/** Whether the database has tables. @throws SCHEMA_OUTDATED, SCHEMA_TOO_NEW if another version of this program made them. */
export async function isSetUp(database: Database): Promise<boolean> {
  if ((await schemaStatus(database)).executed.length === 0) return false;
  await requireCurrentSchema(database);
  return true;
}

export async function connectionsById(
  database: Database,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ConnectionRow>> {
  const rows = await database.run(({ manager, tables }) =>
    manager.findBy(tables.connection, { id: In([...ids]) }),
  );
  return new Map(rows.map((row) => [row.id, row]));
}

export async function referencesById(
  database: Database,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly ReferenceRow[]>> {
  const rows = await database.run(({ manager, tables }) =>
    manager.findBy(tables.reference, { connectionId: In([...ids]) }),
  );
  return new Map(ids.map((id) => [id, rows.filter(({ connectionId }) => connectionId === id)]));
}

/** Removes a copy's outbox and audit rows, which nobody reads, so that the copy stays small. */
export async function forgetSent(database: Database): Promise<void> {
  await database.run(async ({ manager, tables }) => {
    await manager.clear(tables.outbox);
    await manager.clear(tables.audit);
  });
}
