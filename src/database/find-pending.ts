import { IsNull, LessThanOrEqual, Not, In } from 'typeorm';
import type {
  DeadLetterHead,
  DoubtFilter,
  ElsewhereConnection,
  ElsewhereFilter,
  Ledger,
} from '../pipeline/ledger.js';
import type { ManagerName } from '../terms.js';
import { databaseNowMs, type Transaction } from './database.js';
import { DEAD_LETTER_HEAD } from './load-state.js';
import type { OutboxRow } from './rows.js';

/** What the relay has to publish: see {@link Ledger.unsent}. */
export async function findUnsent(tx: Transaction, limit: number): ReturnType<Ledger['unsent']> {
  const { manager, tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const inOutbox = await manager
    .createQueryBuilder(tables.outbox, 'outbox')
    .select('outbox.connectionId', 'connectionId')
    .addSelect('MIN(outbox.createdAtMs)', 'oldest')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = outbox.connectionId')
    .where('outbox.sentAtMs IS NULL AND connection.claimExpiresAtMs <= :nowMs', { nowMs })
    .groupBy('outbox.connectionId')
    .orderBy('oldest')
    .limit(limit)
    .getRawMany<Waiting>();
  const newest = await manager
    .createQueryBuilder(tables.connection, 'connection')
    .select('connection.id', 'connectionId')
    .addSelect('connection.unpublishedSinceMs', 'oldest')
    .where('connection.unpublishedSinceMs IS NOT NULL AND connection.claimExpiresAtMs <= :nowMs', { nowMs })
    .orderBy('connection.unpublishedSinceMs')
    .limit(limit)
    .getRawMany<Waiting>();
  const waiting = [...inOutbox, ...newest].sort((left, right) => Number(left.oldest) - Number(right.oldest));
  const connectionIds = [...new Set(waiting.map(({ connectionId }) => connectionId))].slice(0, limit);
  const rows: OutboxRow[] = await manager.find(tables.outbox, {
    where: { connectionId: IsNull(), sentAtMs: IsNull() },
    order: { createdAtMs: 'ASC' },
    take: limit,
  });
  return { connectionIds, rows };
}

interface Waiting {
  readonly connectionId: string;
  readonly oldest: string | number;
}

/** How many records wait to be published: rows of the outbox, and newest revisions that have none. */
export async function countUnsent({ manager, tables }: Transaction): Promise<number> {
  const rows = await manager.countBy(tables.outbox, { sentAtMs: IsNull() });
  return rows + (await manager.countBy(tables.connection, { unpublishedSinceMs: Not(IsNull()) }));
}

/** What is to be tried again: see {@link Ledger.due}. */
export async function findDue(
  tx: Transaction,
  { connectionId, allWaiting = false }: Parameters<Ledger['due']>[0],
  limit: number,
): Promise<DeadLetterHead[]> {
  const nowMs = await databaseNowMs(tx);
  const isDue = LessThanOrEqual(nowMs);
  const waits = { state: 'waiting' as const, ...(connectionId === undefined ? {} : { connectionId }) };
  return tx.manager.find(tx.tables.deadLetter, {
    where:
      connectionId === undefined && !allWaiting
        ? // Without a payload there is no event to handle: that is the janitor's.
          { nextAttemptAtMs: isDue, payload: Not('') }
        : // What no key opens waits for its key, and for nothing else.
          [
            { ...waits, code: Not('KEY_MISSING') },
            { ...waits, code: 'KEY_MISSING', nextAttemptAtMs: isDue },
          ],
    // One payload may be as large as a row can be.
    select: DEAD_LETTER_HEAD,
    order: { nextAttemptAtMs: 'ASC', createdAtMs: 'ASC' },
    take: limit,
  });
}

export async function findPayload(
  { manager, tables }: Transaction,
  eventHash: string,
): Promise<string | null> {
  const row = await manager.findOne(tables.deadLetter, { where: { eventHash }, select: { payload: true } });
  return row?.payload ?? null;
}

/** Whose stored secrets need somebody: see {@link Ledger.untidy}. */
export async function findUntidy(
  tx: Transaction,
  limit: number,
  except: readonly ManagerName[],
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
    );
  if (except.length > 0) query.andWhere('stored.manager NOT IN (:...except)', { except });
  return query
    .groupBy('stored.connectionId')
    .addGroupBy('stored.manager')
    .limit(limit)
    .getRawMany<{ connectionId: string; manager: ManagerName }>();
}

/** When the next name in doubt can be looked at: see {@link Ledger.doubtMs}. */
export async function findDoubtMs(
  tx: Transaction,
  { withinMs, lateRequestMs, except }: DoubtFilter,
): ReturnType<Ledger['doubtMs']> {
  const { tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const lastMs = Math.floor(nowMs + withinMs);
  const query = tx.manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    // What a claim is writing, or has left, has no owner when that claim is over.
    .select(
      `MIN(CASE WHEN stored.state = 'writing' THEN connection.claimExpiresAtMs ELSE stored.suspectUntilMs END)`,
      'atMs',
    )
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = stored.connectionId')
    .where(
      `((stored.state <> 'writing' AND stored.suspectUntilMs <= :lastMs)
        OR (stored.state = 'writing' AND connection.claimExpiresAtMs <= :lastClaimMs))`,
      { lastMs, lastClaimMs: lastMs - lateRequestMs },
    );
  if (except.length > 0) query.andWhere('stored.manager NOT IN (:...except)', { except });
  const row = await query.getRawOne<{ atMs: string | number | null }>();
  return row?.atMs == null ? null : Math.max(0, Number(row.atMs) - nowMs);
}

/** What is to be moved to the active manager: see {@link Ledger.elsewhere}. */
export async function findElsewhere(
  tx: Transaction,
  filter: ElsewhereFilter,
  limit: number,
): ReturnType<Ledger['elsewhere']> {
  return elsewhereQuery(tx, filter)
    .select('connection.id', 'id')
    .addSelect('connection.name', 'name')
    .addSelect('connection.manager', 'manager')
    .orderBy('connection.id')
    .limit(limit)
    .getRawMany<ElsewhereConnection>();
}

/** How many {@link findElsewhere} would give in all. */
export function countElsewhere(tx: Transaction, filter: ElsewhereFilter): Promise<number> {
  return elsewhereQuery(tx, filter).getCount();
}

/** How many secrets lie elsewhere than in `active` though no field needs them any more. */
export function countLeft({ manager, tables }: Transaction, active: ManagerName): Promise<number> {
  return manager.countBy(tables.storedSecret, { manager: Not(active), state: 'retired' });
}

function elsewhereQuery({ manager, tables }: Transaction, filter: ElsewhereFilter) {
  const { active, from, connectionIds, after } = filter;
  const query = manager
    .createQueryBuilder(tables.connection, 'connection')
    .where(`connection.manager <> :active AND connection.state IN ('live', 'softDeleted')`, { active })
    .andWhere('connection.id > :after', { after });
  if (from !== null) query.andWhere('connection.manager = :from', { from });
  if (connectionIds !== null)
    query.andWhere('connection.id IN (:...connectionIds)', { connectionIds: ['', ...connectionIds] });
  return query;
}

/** Connections that are not deleted, by the manager that keeps them. */
export async function countByManager({
  manager,
  tables,
}: Transaction): Promise<{ manager: ManagerName; count: number }[]> {
  const rows = await manager
    .createQueryBuilder(tables.connection, 'connection')
    .select('connection.manager', 'manager')
    .addSelect('COUNT(*)', 'total')
    .where(`connection.state IN ('live', 'softDeleted')`)
    .groupBy('connection.manager')
    .orderBy('connection.manager')
    .getRawMany<{ manager: ManagerName; total: string | number }>();
  return rows.map(({ manager: name, total }) => ({ manager: name, count: Number(total) }));
}

/** By whom and what for these secrets were retired last: see {@link Ledger.retirements}. */
export async function findRetirements(
  { manager, tables }: Transaction,
  connectionId: string,
  secretIds: readonly string[],
): ReturnType<Ledger['retirements']> {
  const rows = await manager.find(tables.audit, {
    where: { connectionId, action: 'retire', secretId: In([...secretIds]) },
    order: { atMs: 'ASC' },
  });
  return new Map(rows.map((row) => [row.secretId ?? '', row]));
}
