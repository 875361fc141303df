import type { ManagerName } from '../terms.js';
import { databaseNowMs, type Database, type Transaction } from './database.js';

/** Which secrets of former managers are meant. */
export interface SourceScope {
  readonly active: ManagerName;
  /** Only those of this one; null: of all but the active one. */
  readonly from: ManagerName | null;
  /** Only of these connections; null: of all. */
  readonly connectionIds: readonly string[] | null;
}

/**
 * What is retired in former managers is due at once, of connections that the active one has and whose readers were told:
 * none of their records waits to be published.
 */
export async function endGraceOfSources(database: Database, scope: SourceScope): Promise<void> {
  await database.transaction(async (tx) => {
    const nowMs = await databaseNowMs(tx);
    const ids = await toldConnections(tx, scope);
    for (let at = 0; at < ids.length; at += CHUNK)
      await tx.manager
        .createQueryBuilder()
        .update(tx.tables.storedSecret)
        .set({ dueAtMs: nowMs })
        .where(`state = 'retired' AND manager <> :active AND connection_id IN (:...ids)`, {
          active: scope.active,
          ids: ids.slice(at, at + CHUNK),
        })
        .andWhere(scope.from === null ? '1 = 1' : 'manager = :from', { from: scope.from })
        .execute();
  });
}

const CHUNK = 500;

async function toldConnections(tx: Transaction, scope: SourceScope): Promise<string[]> {
  const rows = await sourcesQuery(tx, scope)
    .select('stored.connectionId', 'id')
    .andWhere('connection.manager = :active')
    .andWhere(
      `connection.unpublishedSinceMs IS NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.connection_id = stored.connection_id AND outbox.sent_at_ms IS NULL)`,
    )
    .groupBy('stored.connectionId')
    .getRawMany<{ id: string }>();
  return rows.map(({ id }) => id);
}

/** `pending`: due, in doubt or being deleted; `all`: these and those that somebody's reference keeps. */
export async function countSources(
  database: Database,
  scope: SourceScope,
): Promise<{ readonly pending: number; readonly all: number }> {
  return database.run(async (tx) => {
    const nowMs = await databaseNowMs(tx);
    const all = await sourcesQuery(tx, scope).getCount();
    const pending = await sourcesQuery(tx, scope)
      .andWhere(
        `(stored.state = 'deleting' OR stored.dueAtMs <= :nowMs OR stored.suspectUntilMs IS NOT NULL)`,
        { nowMs },
      )
      .getCount();
    return { pending, all };
  });
}

function sourcesQuery({ manager, tables }: Transaction, { active, from, connectionIds }: SourceScope) {
  const query = manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = stored.connectionId')
    .where(`stored.manager <> :active AND stored.state IN ('retired', 'deleting')`, { active });
  if (from !== null) query.andWhere('stored.manager = :from', { from });
  if (connectionIds !== null)
    query.andWhere('stored.connectionId IN (:...connectionIds)', { connectionIds: ['', ...connectionIds] });
  return query;
}
