import { randomUUID } from 'node:crypto';
import { In, type SelectQueryBuilder } from 'typeorm';
import { databaseNowMs, type Database, type Transaction } from './database.js';
import { readPage, type Page, type PageRequest } from './page.js';
import type { DeadLetterRow } from './rows.js';
import { theOne } from './the-one.js';
import type { ErrorCode } from '../errors.js';
import { keptTimeMs, keptVersion, isLoss, lossHash } from '../pipeline/blocking.js';

/** A kept event without its payload. */
export type KeptEvent = Omit<DeadLetterRow, 'payload'>;

/** Which kept events; members that are left out do not narrow. */
export interface KeptFilter {
  /** Ids, or the first characters of them. */
  readonly ids?: readonly string[];
  readonly state?: DeadLetterRow['state'];
  readonly code?: ErrorCode;
  readonly connectionId?: string;
}

/** Kept events, in the order in which they came to be kept. */
export async function listKept(
  database: Database,
  filter: KeptFilter,
  page: PageRequest,
): Promise<Page<KeptEvent>> {
  const order = { at: 'createdAtMs', id: 'eventHash', direction: 'ASC' } as const;
  return database.run(async (tx) => readPage(chosen(tx, filter), order, page));
}

/**
 * In the order of the events they are: oldest first, those that could not be read by the time of their record.
 * @throws ConfigurationError USAGE_INVALID where an id means none or several
 */
export async function findKept(database: Database, filter: KeptFilter): Promise<KeptEvent[]> {
  return database.run((tx) => select(tx, filter));
}

/**
 * Has kept events tried again, one after another in the events' order, by whoever works on this database (`start`, or the
 * next `pipe`). Returns them.
 */
export async function scheduleRetry(database: Database, filter: KeptFilter): Promise<KeptEvent[]> {
  return database.transaction(async (tx) => {
    const kept = await select(tx, filter);
    const nowMs = await databaseNowMs(tx);
    for (const [index, { eventHash }] of kept.entries()) {
      // One millisecond apart and all of them due: the scan takes them up in this order.
      const nextAttemptAtMs = nowMs - kept.length + index;
      await tx.manager.update(tx.tables.deadLetter, { eventHash }, { nextAttemptAtMs });
    }
    for (const loss of kept.filter(isLoss)) await lookAgain(tx, loss, nowMs);
    return kept;
  });
}

/**
 * No event is behind it: the janitor is to look at the store again. Only where its next look is still the one that was
 * planned, for one that waits for late requests must not come earlier.
 */
async function lookAgain({ manager, tables }: Transaction, loss: KeptEvent, nowMs: number): Promise<void> {
  const { connectionId, eventHash, nextAttemptAtMs } = loss;
  if (connectionId === null || nextAttemptAtMs === null) return;
  const place = { connectionId, state: 'live', suspectUntilMs: nextAttemptAtMs } as const;
  const lost = (await manager.find(tables.storedSecret, { where: place })).find(
    (row) => lossHash(row) === eventHash,
  );
  if (lost === undefined) return;
  await manager.update(
    tables.storedSecret,
    { ...place, manager: lost.manager, secretIdHash: lost.secretIdHash },
    { suspectUntilMs: nowMs },
  );
  await manager.update(tables.deadLetter, { eventHash }, { nextAttemptAtMs: nowMs });
}

/** Gives kept events up, which the audit says; returns them. */
export async function discard(
  database: Database,
  filter: KeptFilter,
  by: { readonly actor: string; readonly reason: string | null },
): Promise<KeptEvent[]> {
  return database.transaction(async (tx) => {
    const kept = await select(tx, filter);
    const atMs = await databaseNowMs(tx);
    if (kept.length === 0) return kept;
    await tx.manager.delete(tx.tables.deadLetter, { eventHash: In(kept.map(({ eventHash }) => eventHash)) });
    await tx.manager.insert(
      tx.tables.audit,
      kept.map(({ connectionId, eventId, code }) => ({
        id: randomUUID(),
        atMs,
        action: 'discard',
        actor: by.actor,
        connectionId,
        path: null,
        secretId: null,
        eventId,
        detail: by.reason === null ? code : `${code}: ${by.reason}`,
      })),
    );
    return kept;
  });
}

async function select(tx: Transaction, filter: KeptFilter): Promise<KeptEvent[]> {
  const rows: KeptEvent[] = await chosen(tx, filter).orderBy('kept.createdAtMs').getMany();
  const candidates = rows.map((row) => ({ id: row.eventHash, row }));
  const meant = filter.ids?.map((id) => theOne(id, candidates, 'kept events').row) ?? rows;
  return [...new Set(meant)].sort(byEventOrder);
}

function chosen(
  { manager, tables }: Transaction,
  { ids, state, code, connectionId }: KeptFilter,
): SelectQueryBuilder<DeadLetterRow> {
  const query = manager.createQueryBuilder(tables.deadLetter, 'kept').select(COLUMNS);
  if (state !== undefined) query.andWhere('kept.state = :state', { state });
  if (code !== undefined) query.andWhere('kept.code = :code', { code });
  if (connectionId !== undefined) query.andWhere('kept.connectionId = :connectionId', { connectionId });
  if (ids !== undefined) {
    const conditions = ids.map((_, index) => `kept.eventHash LIKE :id${index}`);
    const values = Object.fromEntries(ids.map((id, index) => [`id${index}`, `${id}%`]));
    query.andWhere(`(${conditions.join(' OR ')})`, values);
  }
  return query;
}

const COLUMNS = [
  'eventHash',
  'connectionId',
  'state',
  'code',
  'detail',
  'eventId',
  'topic',
  'partition',
  'position',
  'eventOrder',
  'sets',
  'attempts',
  'waitUntilMs',
  'nextAttemptAtMs',
  'createdAtMs',
  'updatedAtMs',
].map((column) => `kept.${column}`);

function byEventOrder(left: KeptEvent, right: KeptEvent): number {
  return (
    keptTimeMs(left) - keptTimeMs(right) ||
    keptVersion(left) - keptVersion(right) ||
    left.createdAtMs - right.createdAtMs
  );
}
