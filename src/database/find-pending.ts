import { IsNull, LessThanOrEqual, Not } from 'typeorm';
import type { Ledger } from '../pipeline/ledger.js';
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
export async function findUntidy(tx: Transaction, manager: ManagerName, limit: number): Promise<string[]> {
  const { tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const rows = await tx.manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    .select('stored.connectionId', 'connectionId')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = stored.connectionId')
    .where('stored.manager = :manager AND connection.claimExpiresAtMs <= :nowMs', { manager, nowMs })
    .andWhere(
      `(stored.state = 'writing' OR stored.suspectUntilMs <= :nowMs
        OR (stored.state IN ('retired', 'deleting') AND stored.dueAtMs <= :nowMs AND stored.suspectUntilMs IS NULL))`,
    )
    .groupBy('stored.connectionId')
    .limit(limit)
    .getRawMany<{ connectionId: string }>();
  return rows.map(({ connectionId }) => connectionId);
}
