import type { Database } from '../database/database.js';
import type { ConnectionRow } from '../database/rows.js';
import { isoTime } from './text.js';

export interface ListFilter {
  readonly kind?: string;
  readonly state?: string;
  readonly limit: number;
}

export interface ListedConnection {
  readonly id: string;
  readonly kind: string | null;
  readonly serviceType: string | null;
  readonly name: string | null;
  readonly state: ConnectionRow['state'];
  readonly manager: string | null;
  readonly revision: number;
  readonly secretFields: number;
  readonly updatedAt: string;
}

/** The last changed first. Rows that are claimed and hold nothing yet are left out. */
export async function listConnections(database: Database, filter: ListFilter): Promise<ListedConnection[]> {
  return database.run(async ({ manager, tables }) => {
    const query = manager
      .createQueryBuilder(tables.connection, 'connection')
      .where("connection.state <> 'new'");
    if (filter.kind !== undefined) query.andWhere('connection.kind = :kind', { kind: filter.kind });
    if (filter.state !== undefined) query.andWhere('connection.state = :state', { state: filter.state });
    const rows = await query
      .orderBy('connection.updatedAtMs', 'DESC')
      .addOrderBy('connection.id')
      .limit(filter.limit)
      .getMany();
    if (rows.length === 0) return [];
    const counts = await manager
      .createQueryBuilder(tables.reference, 'reference')
      .select('reference.connectionId', 'id')
      .addSelect('COUNT(*)', 'total')
      .groupBy('reference.connectionId')
      .getRawMany<{ id: string; total: string | number }>();
    const fieldsOf = new Map(counts.map(({ id, total }) => [id, Number(total)]));
    return rows.map(({ id, kind, serviceType, name, state, manager: keeper, revision, updatedAtMs }) => ({
      id,
      kind,
      serviceType,
      name,
      state,
      manager: keeper,
      revision,
      secretFields: fieldsOf.get(id) ?? 0,
      updatedAt: isoTime(updatedAtMs),
    }));
  });
}
