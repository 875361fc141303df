import { In, IsNull, Not, type SelectQueryBuilder } from 'typeorm';
import type { Database, Transaction } from './database.js';
import type { ConnectionRow } from './rows.js';

/** Which connections; null: all. */
export interface ConnectionFilter {
  readonly connectionIds: readonly string[] | null;
  readonly kinds: readonly string[] | null;
}

export const EVERY_CONNECTION: ConnectionFilter = { connectionIds: null, kinds: null };

export type ConnectionHead = Pick<ConnectionRow, 'id' | 'kind' | 'state' | 'manager'>;

/** Connections that something was ever applied to, deleted ones among them, in the order of their ids. */
export async function connectionsAfter(
  database: Database,
  filter: ConnectionFilter,
  after: string,
  limit: number,
): Promise<ConnectionHead[]> {
  return database.run((tx) =>
    chosen(tx, filter)
      .select(['connection.id', 'connection.kind', 'connection.state', 'connection.manager'])
      .andWhere('connection.id > :after', { after })
      .orderBy('connection.id')
      .limit(limit)
      .getMany(),
  );
}

/** How many there are, by their state. */
export async function countConnections(
  database: Database,
  filter: ConnectionFilter,
): Promise<Readonly<Record<string, number>>> {
  const rows = await database.run((tx) =>
    chosen(tx, filter)
      .select('connection.state', 'state')
      .addSelect('COUNT(*)', 'total')
      .groupBy('connection.state')
      .getRawMany<{ state: string; total: string | number }>(),
  );
  return Object.fromEntries(rows.map(({ state, total }) => [state, Number(total)]));
}

/** Whether the newest secured event of one of these connections waits to be published. */
export async function isAnyUnpublished(database: Database, ids: readonly string[]): Promise<boolean> {
  return database.run(({ manager, tables }) =>
    manager.existsBy(tables.connection, { id: In([...ids]), unpublishedSinceMs: Not(IsNull()) }),
  );
}

function chosen(
  { manager, tables }: Transaction,
  { connectionIds, kinds }: ConnectionFilter,
): SelectQueryBuilder<ConnectionRow> {
  const query = manager
    .createQueryBuilder(tables.connection, 'connection')
    .where("connection.state <> 'new'");
  if (connectionIds !== null) query.andWhere('connection.id IN (:...connectionIds)', { connectionIds });
  if (kinds !== null) query.andWhere('connection.kind IN (:...kinds)', { kinds });
  return query;
}
