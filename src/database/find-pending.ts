import { IsNull, LessThanOrEqual, Not } from 'typeorm';
import type { Ledger, UnmovedFilter } from '../pipeline/ledger.js';
import { databaseNowMs, type Transaction } from './database.js';
import type { ManagerName } from '../terms.js';
import type { DeadLetterRow, OutboxRow } from './rows.js';

/** What the relay has to publish: see {@link Ledger.unsent}. */
export async function findUnsent(tx: Transaction, limit: number): ReturnType<Ledger['unsent']> {
  const { manager, tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const claimed = await manager
    .createQueryBuilder(tables.outbox, 'outbox')
    .select('outbox.connectionId', 'connectionId')
    .addSelect('MIN(outbox.createdAtMs)', 'oldest')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = outbox.connectionId')
    .where('outbox.sentAtMs IS NULL AND connection.claimExpiresAtMs <= :nowMs', { nowMs })
    .groupBy('outbox.connectionId')
    .orderBy('oldest')
    .limit(limit)
    .getRawMany<{ connectionId: string }>();
  const rows: OutboxRow[] = await manager.find(tables.outbox, {
    where: { connectionId: IsNull(), sentAtMs: IsNull() },
    order: { createdAtMs: 'ASC' },
    take: limit,
  });
  return { connectionIds: claimed.map(({ connectionId }) => connectionId), rows };
}

/** What is to be tried again: see {@link Ledger.due}. */
export async function findDue(
  tx: Transaction,
  { connectionId, allWaiting = false }: Parameters<Ledger['due']>[0],
  limit: number,
): Promise<DeadLetterRow[]> {
  const nowMs = await databaseNowMs(tx);
  return tx.manager.find(tx.tables.deadLetter, {
    where:
      connectionId === undefined && !allWaiting
        ? // Without a payload there is no event to handle: that is the janitor's.
          { nextAttemptAtMs: LessThanOrEqual(nowMs), payload: Not('') }
        : { state: 'waiting', ...(connectionId === undefined ? {} : { connectionId }) },
    order: { nextAttemptAtMs: 'ASC', createdAtMs: 'ASC' },
    take: limit,
  });
}

/** Whose stored secrets need somebody: see {@link Ledger.untidy}. */
export async function findUntidy(
  tx: Transaction,
  except: readonly ManagerName[],
  limit: number,
): ReturnType<Ledger['untidy']> {
  const { tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const query = tx.manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    .select('stored.connectionId', 'connectionId')
    .addSelect('stored.manager', 'manager')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = stored.connectionId')
    .where('connection.claimExpiresAtMs <= :nowMs', { nowMs })
    .andWhere(
      `(stored.state = 'writing' OR stored.suspectUntilMs <= :nowMs
        OR (stored.state IN ('retired', 'deleting') AND stored.dueAtMs <= :nowMs AND stored.suspectUntilMs IS NULL))`,
    )
    .groupBy('stored.connectionId')
    .addGroupBy('stored.manager')
    .limit(limit);
  if (except.length > 0) query.andWhere('stored.manager NOT IN (:...except)', { except });
  return query.getRawMany<{ connectionId: string; manager: ManagerName }>();
}

/** Whose values another manager keeps: see {@link Ledger.unmoved}. */
export async function findUnmoved(
  tx: Transaction,
  { active, afterId }: UnmovedFilter,
  limit: number,
): Promise<string[]> {
  const nowMs = await databaseNowMs(tx);
  const rows = await unmovedQuery(tx, active)
    .select('connection.id', 'id')
    .andWhere('connection.claimExpiresAtMs <= :nowMs AND connection.id > :afterId', { nowMs, afterId })
    .orderBy('connection.id')
    .limit(limit)
    .getRawMany<{ id: string }>();
  return rows.map(({ id }) => id);
}

/** How many {@link findUnmoved} would go through, claimed or not. */
export async function countUnmoved(tx: Transaction, active: ManagerName): Promise<number> {
  return unmovedQuery(tx, active).getCount();
}

function unmovedQuery({ manager, tables }: Transaction, active: ManagerName) {
  return manager
    .createQueryBuilder(tables.connection, 'connection')
    .where("connection.state IN ('live', 'softDeleted') AND connection.manager <> :active", { active });
}
