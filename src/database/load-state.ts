import { In, IsNull, type SelectQueryBuilder } from 'typeorm';
import type { ClaimRequest, LockedState } from '../pipeline/ledger.js';
import { sha256Hex } from '../hash.js';
import { valueChunks } from './chunks.js';
import type { Transaction } from './database.js';
import { databaseNowMs } from './database.js';
import type { ConnectionRow, InboxRow, ReferenceRow, StoredSecretRow } from './rows.js';
import type { ManagerName } from '../terms.js';

/** Locks the rows of these connections, in the order of their ids; missing ones are not in the answer. */
export async function lockConnections(
  tx: Transaction,
  ids: readonly string[],
): Promise<Map<string, ConnectionRow>> {
  const query = tx.manager
    .createQueryBuilder(tx.tables.connection, 'connection')
    .where({ id: In([...ids]) })
    .orderBy('connection.id');
  const rows = await forUpdate(tx, query).getMany();
  return new Map(rows.map((row) => [row.id, row]));
}

function forUpdate<T extends object>(
  { dialect }: Transaction,
  query: SelectQueryBuilder<T>,
): SelectQueryBuilder<T> {
  return dialect === 'sqlite' ? query : query.setLock('pessimistic_write');
}

/** Inserts a row for each connection that has none, so that there is one to lock. */
export async function ensureConnections(
  tx: Transaction,
  ids: readonly string[],
  nowMs: number,
): Promise<void> {
  const rows = ids.map((id) => newConnection(id, nowMs));
  await tx.manager.createQueryBuilder().insert().into(tx.tables.connection).values(rows).orIgnore().execute();
}

/** The row of a connection that nothing was applied to yet. */
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
    claimOwner: null,
    claimEpoch: 0,
    claimExpiresAtMs: 0,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

/** All that decisions need, in one query a table. The connections are locked before anything else is read. */
export async function loadStates(
  tx: Transaction,
  requests: readonly ClaimRequest<unknown>[],
): Promise<LockedState[]> {
  const { manager, tables } = tx;
  const ids = [...new Set(requests.map((request) => request.connectionId))].sort();
  const connections = await lockOrInsert(tx, ids);
  const nowMs = await databaseNowMs(tx);
  const references = groupBy(await manager.find(tables.reference, { where: { connectionId: In(ids) } }));
  const stored = groupBy(await manager.find(tables.storedSecret, { where: { connectionId: In(ids) } }));
  const asked = requests.map((request) => askedIds(request, connections, references));
  const byHash = await secretsByHash(tx, asked.flat());
  const namedUnder = await namedAmong(
    tx,
    requests
      .filter(({ asksForReferences }) => asksForReferences === true)
      .flatMap(({ connectionId }) => (stored.get(connectionId) ?? []).map(({ secretId }) => secretId)),
  );
  const inbox = await inboxOf(tx, requests);
  const deadLetters = groupBy(
    await manager.find(tables.deadLetter, {
      where: { connectionId: In(ids) },
      select: DEAD_LETTER_HEAD,
    }),
  );
  const unsent = await manager.find(tables.outbox, {
    where: { connectionId: In(ids), sentAtMs: IsNull() },
    select: { id: true, connectionId: true },
  });
  const withUnsent = new Set(unsent.map((row) => row.connectionId));
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
      namedUnder,
      inbox: inbox.get(request.eventHash ?? '') ?? null,
      deadLetters: deadLetters.get(id) ?? [],
      hasUnsent: withUnsent.has(id),
    };
  });
}

const DEAD_LETTER_HEAD = {
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

/** Usually every row exists: inserting first would cost a write a transaction. */
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
  { manager, tables }: Transaction,
  secretIds: readonly string[],
): Promise<Map<string, StoredSecretRow[]>> {
  const hashes = [...new Set(secretIds.map(sha256Hex))];
  const rows: StoredSecretRow[] = [];
  for (const chunk of valueChunks(hashes))
    rows.push(...(await manager.find(tables.storedSecret, { where: { secretIdHash: In(chunk) } })));
  return groupBy(rows, (row) => row.secretIdHash);
}

/** Under which managers some field names each of these ids. */
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
  { manager, tables }: Transaction,
  requests: readonly ClaimRequest<unknown>[],
): Promise<Map<string, InboxRow>> {
  const hashes = requests.flatMap((request) => (request.eventHash === null ? [] : [request.eventHash]));
  const rows =
    hashes.length === 0 ? [] : await manager.find(tables.inbox, { where: { eventHash: In(hashes) } });
  return new Map(rows.map((row) => [row.eventHash, row]));
}

function groupBy<T extends { connectionId: string | null }>(
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
