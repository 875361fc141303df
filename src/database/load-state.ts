import { In, MoreThan, type FindOptionsWhere } from 'typeorm';
import type { ClaimRequest, DeadLetterHead, LockedState } from '../pipeline/ledger.js';
import { sha256Hex } from '../hash.js';
import { valueChunks, insertRows, oneOf, selectRows, tableName } from './row-sql.js';
import type { Transaction } from './database.js';
import { databaseNowMs, nowSql } from './database.js';
import type { ConnectionRow, DeadLetterRow, InboxRow, ReferenceRow, StoredSecretRow } from './rows.js';
import type { ManagerName } from '../terms.js';
import { secretsNamed } from './verify-pages.js';

/** Locks the rows of these connections in the order of their ids. Leaves out connections that have no row. */
export async function lockConnections(
  tx: Transaction,
  ids: readonly string[],
): Promise<Map<string, ConnectionRow>> {
  const rows = await selectRows(tx, tx.tables.connection, {
    where: ['id', ids],
    orderBy: ['id'],
    forUpdate: true,
  });
  return new Map(rows.map((row) => [row.id, row]));
}

/** Inserts a row for each connection that has none, so that there is one to lock. */
export async function ensureConnections(
  tx: Transaction,
  ids: readonly string[],
  nowMs: number,
): Promise<void> {
  const rows = ids.map((id) => newConnection(id, nowMs));
  await insertRows(tx, tx.tables.connection, rows, 'ignore');
}

/** The row of a connection to which no event was applied yet. */
export function newConnection(id: string, nowMs: number): ConnectionRow {
  return {
    id,
    entityType: null,
    root: null,
    kind: null,
    serviceType: null,
    name: null,
    fullyQualifiedName: null,
    version: null,
    state: 'new',
    manager: null,
    revision: 0,
    operation: null,
    entity: null,
    appliedOrder: null,
    eventId: null,
    securedFrom: null,
    unpublishedSinceMs: null,
    claimOwner: null,
    claimEpoch: 0,
    claimExpiresAtMs: 0,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

/** Loads all that the decisions need, mostly with one query per table. Locks the connections before it reads anything else. */
export async function loadStates(
  tx: Transaction,
  requests: readonly ClaimRequest<unknown>[],
): Promise<LockedState[]> {
  const { tables } = tx;
  const ids = [...new Set(requests.map((request) => request.connectionId))].sort();
  const connections = await lockOrInsert(tx, ids);
  const { nowMs, withUnsent, withKept } = await findOpen(tx, ids);
  const references = groupBy(await selectRows(tx, tables.reference, { where: ['connectionId', ids] }));
  const stored = groupBy(await selectRows(tx, tables.storedSecret, { where: ['connectionId', ids] }));
  const asked = requests.map((request) => askedIds(request, connections, references));
  const byHash = await secretsByHash(tx, asked.flat());
  const referrers = await referrersByHash(tx, asked.flat());
  const namedUnder = await namedAmong(
    tx,
    requests
      .filter(({ asksForReferences }) => asksForReferences === true)
      .flatMap(({ connectionId }) => (stored.get(connectionId) ?? []).map(({ secretId }) => secretId)),
  );
  const namesakes = await namesakesOf(tx, requests, connections);
  const inbox = await inboxOf(tx, requests);
  const deadLetters =
    withKept.size === 0 ? requests.map(() => []) : await keptEventsOf(tx, requests, connections);
  return requests.map((request, index) => {
    const id = request.connectionId;
    const connection = connections.get(id);
    if (connection === undefined) throw new TypeError(`the row of connection ${id} is not locked`);
    return {
      nowMs,
      nextEpoch: connection.claimEpoch + 1,
      connection,
      references: references.get(id) ?? [],
      stored: stored.get(id) ?? [],
      foreign: (asked[index] ?? []).flatMap((secretId) =>
        (byHash.get(sha256Hex(secretId)) ?? []).filter((row) => row.connectionId !== id),
      ),
      referrers: (asked[index] ?? []).flatMap((secretId) =>
        (referrers.get(sha256Hex(secretId)) ?? []).flatMap(({ connectionId }) =>
          connectionId === id ? [] : [{ connectionId, secretId }],
        ),
      ),
      namesakes: namesakes.get(id) ?? [],
      namedUnder,
      inbox: inbox.get(request.eventHash ?? '') ?? null,
      reusedInbox: inbox.get(request.reusedHash ?? '') ?? null,
      deadLetters: deadLetters[index] ?? [],
      hasUnsent: connection.unpublishedSinceMs !== null || withUnsent.has(id),
    };
  });
}

/** Which connections have unsent records or kept events, and the database's time; read once their rows are locked. */
export interface Open {
  readonly nowMs: number;
  /** Connections with records in the outbox that are not published yet. */
  readonly withUnsent: ReadonlySet<string>;
  /** Connections with kept events. */
  readonly withKept: ReadonlySet<string>;
}

export async function findOpen(tx: Transaction, ids: readonly string[]): Promise<Open> {
  const { manager, tables, dialect } = tx;
  const oneOfIds = oneOf(dialect, 'connection_id', ids.length);
  const rows = await manager.query<{ what: string; id: string; now: string | number }[]>(
    `SELECT 'now' AS what, '' AS id, ${nowSql(dialect)} AS now
      UNION ALL SELECT DISTINCT 'unsent', connection_id, 0 FROM ${tableName(tx, tables.outbox)} WHERE ${oneOfIds} AND sent_at_ms IS NULL
      UNION ALL SELECT DISTINCT 'kept', connection_id, 0 FROM ${tableName(tx, tables.deadLetter)} WHERE ${oneOfIds}`,
    dialect === 'postgres' ? [ids] : [...ids, ...ids],
  );
  const idsOf = (what: string) => new Set(rows.flatMap((row) => (row.what === what ? [row.id] : [])));
  const [clock] = rows.filter(({ what }) => what === 'now');
  return { nowMs: Number(clock?.now), withUnsent: idsOf('unsent'), withKept: idsOf('kept') };
}

/** All columns but the payload. */
export const DEAD_LETTER_HEAD = {
  eventHash: true,
  connectionId: true,
  state: true,
  code: true,
  detail: true,
  eventId: true,
  topic: true,
  partition: true,
  position: true,
  eventOrder: true,
  sets: true,
  attempts: true,
  waitUntilMs: true,
  nextAttemptAtMs: true,
  createdAtMs: true,
  updatedAtMs: true,
} as const;

/** How many kept events one query reads of a connection that has many. */
const KEPT_PAGE = 100;

/** Kept events for each request: its own, and as many of its connection's as it asks for, oldest first. */
async function keptEventsOf(
  tx: Transaction,
  requests: readonly ClaimRequest<unknown>[],
  connections: Map<string, ConnectionRow>,
): Promise<DeadLetterHead[][]> {
  const asking = requests.filter(({ keptEvents }) => keptEvents !== 'none');
  const ids = new Set(asking.map(({ connectionId }) => connectionId));
  // Most connections have few or none, so one query reads them for all.
  const limit = ids.size === 0 ? 0 : KEPT_PAGE + ids.size;
  const first = await findHeads(tx, { connectionId: In([...ids]) }, limit);
  const isAll = first.length < limit;
  const own = await ownHeads(
    tx,
    isAll ? requests.filter(({ keptEvents }) => keptEvents === 'none') : requests,
  );
  const byConnection = groupBy(first);
  const found: DeadLetterHead[][] = [];
  for (const request of requests) {
    const { connectionId, keptEvents } = request;
    const ofOwn = eventHashesOf(request)
      .flatMap((eventHash) => own.get(eventHash) ?? [])
      .filter((head) => head.connectionId === connectionId);
    const connection = connections.get(connectionId);
    if (keptEvents === 'none' || connection === undefined) found.push(ofOwn);
    else {
      const heads = isAll
        ? (byConnection.get(connectionId) ?? [])
        : await headsUntil(tx, connectionId, (kept) => keptEvents?.(kept, connection) ?? false);
      found.push([
        ...ofOwn.filter((head) => !heads.some((one) => one.eventHash === head.eventHash)),
        ...heads,
      ]);
    }
  }
  return found;
}

async function ownHeads(
  tx: Transaction,
  requests: readonly ClaimRequest<unknown>[],
): Promise<Map<string, DeadLetterHead>> {
  const hashes = requests.flatMap(eventHashesOf);
  const heads = await findHeads(tx, { eventHash: In(hashes) }, hashes.length);
  return new Map(heads.map((head) => [head.eventHash, head]));
}

/** Reads the kept events of one connection page by page, until `isEnough`. */
async function headsUntil(
  tx: Transaction,
  connectionId: string,
  isEnough: (kept: readonly DeadLetterHead[]) => boolean,
): Promise<DeadLetterHead[]> {
  const heads: DeadLetterHead[] = [];
  for (;;) {
    const last = heads.at(-1);
    const after =
      last === undefined
        ? { connectionId }
        : [
            { connectionId, createdAtMs: MoreThan(last.createdAtMs) },
            { connectionId, createdAtMs: last.createdAtMs, eventHash: MoreThan(last.eventHash) },
          ];
    const page = await findHeads(tx, after, KEPT_PAGE);
    heads.push(...page);
    if (page.length < KEPT_PAGE || isEnough(heads)) return heads;
  }
}

async function findHeads(
  { manager, tables }: Transaction,
  where: FindOptionsWhere<DeadLetterRow> | FindOptionsWhere<DeadLetterRow>[],
  limit: number,
): Promise<DeadLetterHead[]> {
  if (limit === 0) return [];
  return manager.find(tables.deadLetter, {
    where,
    select: DEAD_LETTER_HEAD,
    order: { createdAtMs: 'ASC', eventHash: 'ASC' },
    take: limit,
  });
}

/** Locks first, because usually every row exists: inserting first would cost a write in each transaction. */
async function lockOrInsert(tx: Transaction, ids: readonly string[]): Promise<Map<string, ConnectionRow>> {
  const found = await lockConnections(tx, ids);
  const missing = ids.filter((id) => !found.has(id));
  if (missing.length === 0) return found;
  await ensureConnections(tx, missing, await databaseNowMs(tx));
  return new Map([...found, ...(await lockConnections(tx, missing))]);
}

function askedIds(
  request: ClaimRequest<unknown>,
  connections: Map<string, ConnectionRow>,
  references: Map<string, ReferenceRow[]>,
): readonly string[] {
  const connection = connections.get(request.connectionId);
  return connection === undefined ? [] : request.secretIds(connection, references.get(connection.id) ?? []);
}

async function secretsByHash(
  tx: Transaction,
  secretIds: readonly string[],
): Promise<Map<string, StoredSecretRow[]>> {
  return groupBy(await secretsNamed(tx, secretIds), (row) => row.secretIdHash);
}

/** Users' references to one of these ids, by the hash of the id. */
async function referrersByHash(
  tx: Transaction,
  secretIds: readonly string[],
): Promise<Map<string, Pick<ReferenceRow, 'connectionId' | 'referenceHash'>[]>> {
  const rows = await selectRows(tx, tx.tables.reference, {
    where: ['referenceHash', [...new Set(secretIds.map(sha256Hex))]],
    and: tx.dialect === 'postgres' ? 'NOT owned' : 'owned = 0',
    columns: ['connectionId', 'referenceHash'],
  });
  return groupBy(rows, (row) => row.referenceHash);
}

/**
 * Connections of the same kind whose name is alike, or goes on after a `/`. It may find too many: in a LIKE pattern, `_`
 * stands for any character, just as an id has it in place of other characters. The decision compares exactly.
 */
async function namesakesOf(
  { manager, tables }: Transaction,
  requests: readonly ClaimRequest<unknown>[],
  connections: Map<string, ConnectionRow>,
): Promise<Map<string, LockedState['namesakes']>> {
  const found = new Map<string, LockedState['namesakes']>();
  for (const request of requests) {
    const { connectionId } = request;
    const connection = connections.get(connectionId);
    const asked = connection === undefined ? null : (request.asksForNamesakes?.(connection) ?? null);
    if (asked === null) continue;
    const rows = await manager
      .createQueryBuilder(tables.connection, 'connection')
      .select('connection.id', 'connectionId')
      .addSelect('connection.kind', 'kind')
      .addSelect('connection.name', 'name')
      .where(
        "connection.kind = :kind AND connection.id <> :id AND connection.state IN ('live', 'softDeleted')",
      )
      .andWhere('(LOWER(connection.name) LIKE :name OR LOWER(connection.name) LIKE :longer)')
      .setParameters({
        kind: asked.kind,
        id: connectionId,
        name: asked.cleanedName,
        longer: `${asked.cleanedName}/%`,
      })
      .getRawMany<LockedState['namesakes'][number]>();
    found.set(connectionId, rows);
  }
  return found;
}

/** The managers of the connections that refer to each of these ids. */
async function namedAmong(
  { manager, tables }: Transaction,
  secretIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ManagerName[]>> {
  const idByHash = new Map(secretIds.map((secretId) => [sha256Hex(secretId), secretId]));
  const named = new Map<string, ManagerName[]>();
  for (const chunk of valueChunks([...idByHash.keys()])) {
    const rows = await manager
      .createQueryBuilder(tables.reference, 'reference')
      .select('reference.referenceHash', 'hash')
      .addSelect('connection.manager', 'manager')
      .innerJoin(tables.connection.options.name, 'connection', 'connection.id = reference.connectionId')
      .where('reference.referenceHash IN (:...chunk) AND connection.manager IS NOT NULL', { chunk })
      .distinct()
      .getRawMany<{ hash: string; manager: ManagerName }>();
    for (const row of rows) {
      const secretId = idByHash.get(row.hash) ?? '';
      named.set(secretId, [...(named.get(secretId) ?? []), row.manager]);
    }
  }
  return named;
}

async function inboxOf(
  tx: Transaction,
  requests: readonly ClaimRequest<unknown>[],
): Promise<Map<string, InboxRow>> {
  const rows = await selectRows(tx, tx.tables.inbox, {
    where: ['eventHash', requests.flatMap(eventHashesOf)],
  });
  return new Map(rows.map((row) => [row.eventHash, row]));
}

/** The hashes under which the event of a request may be stored. */
export function eventHashesOf({ eventHash, reusedHash }: ClaimRequest<unknown>): string[] {
  return [eventHash, reusedHash].filter((hash) => hash != null);
}

export function groupBy<T extends { connectionId: string | null }>(
  rows: readonly T[],
  keyOf: (row: T) => string | null = (row) => row.connectionId,
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row) ?? '';
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}
