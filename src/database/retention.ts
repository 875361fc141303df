import { In, LessThan } from 'typeorm';
import { databaseNowMs, type Database, type Transaction } from './database.js';

export interface RetentionDays {
  readonly inboxRetentionDays: number;
  readonly outboxRetentionDays: number;
}

const DAY_MS = 86_400_000;
/** Rows a transaction removes. */
const BATCH = 1_000;
/** Rows of deleted secrets stay for longer than a store keeps those for recovery (30 days). */
const DELETED_SECRET_DAYS = 60;

/** Removes old rows of each kind; batch by batch, so that no transaction is long. */
export async function pruneOldRows(
  database: Database,
  days: RetentionDays,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && (await pruneBatch(database, days)) > 0);
}

/** Returns how many rows there were. */
async function pruneBatch(database: Database, days: RetentionDays): Promise<number> {
  return database.transaction(async (tx) => {
    const nowMs = await databaseNowMs(tx);
    const outbox = await pruneOutbox(tx, nowMs - days.outboxRetentionDays * DAY_MS);
    const inbox = await pruneInbox(tx, nowMs - days.inboxRetentionDays * DAY_MS);
    return outbox + inbox + (await pruneDeletedSecrets(tx, nowMs - DELETED_SECRET_DAYS * DAY_MS));
  });
}

async function pruneOutbox({ manager, tables }: Transaction, beforeMs: number): Promise<number> {
  const rows = await manager.find(tables.outbox, {
    where: { sentAtMs: LessThan(beforeMs) },
    select: { id: true },
    take: BATCH,
  });
  if (rows.length > 0) await manager.delete(tables.outbox, { id: In(rows.map(({ id }) => id)) });
  return rows.length;
}

/** Keeps inbox rows of connections with unsent records, and of kept events: both still need the inbox. */
async function pruneInbox({ manager, tables }: Transaction, beforeMs: number): Promise<number> {
  const rows = await manager
    .createQueryBuilder(tables.inbox, 'inbox')
    .select('inbox.eventHash', 'eventHash')
    .leftJoin(
      tables.outbox.options.name,
      'unsent',
      'unsent.connectionId = inbox.connectionId AND unsent.sentAtMs IS NULL',
    )
    .leftJoin(
      tables.connection.options.name,
      'unpublished',
      'unpublished.id = inbox.connectionId AND unpublished.unpublishedSinceMs IS NOT NULL',
    )
    .leftJoin(tables.deadLetter.options.name, 'kept', 'kept.eventHash = inbox.eventHash')
    .where('inbox.atMs < :beforeMs AND unsent.id IS NULL AND unpublished.id IS NULL', { beforeMs })
    .andWhere('kept.eventHash IS NULL')
    .limit(BATCH)
    .getRawMany<{ eventHash: string }>();
  if (rows.length > 0)
    await manager.delete(tables.inbox, { eventHash: In(rows.map(({ eventHash }) => eventHash)) });
  return rows.length;
}

async function pruneDeletedSecrets({ manager, tables }: Transaction, beforeMs: number): Promise<number> {
  const { affected } = await manager
    .createQueryBuilder()
    .delete()
    .from(tables.storedSecret)
    .where({ state: 'deleted', updatedAtMs: LessThan(beforeMs) })
    .execute();
  return affected ?? 0;
}
