import { In, IsNull, LessThan } from 'typeorm';
import { sha256Hex } from '../hash.js';
import type { ManagerName } from '../terms.js';
import { valueChunks } from './row-sql.js';
import { databaseNowMs, type Transaction } from './database.js';
import type { ConnectionRow, ReferenceRow, StoredSecretRow } from './rows.js';

/** One connection as the database has it, to be held against the store. */
export interface RecordedConnection {
  readonly connection: ConnectionRow;
  /** Whether somebody works on it. */
  readonly isClaimed: boolean;
  readonly references: readonly ReferenceRow[];
  /** Of every manager and state. */
  readonly stored: readonly StoredSecretRow[];
}

export async function loadRecorded(tx: Transaction, ids: readonly string[]): Promise<RecordedConnection[]> {
  if (ids.length === 0) return [];
  const { manager, tables } = tx;
  const nowMs = await databaseNowMs(tx);
  const where = { connectionId: In([...ids]) };
  const connections = await manager.find(tables.connection, {
    where: { id: In([...ids]) },
    order: { id: 'ASC' },
  });
  const references = await manager.find(tables.reference, { where });
  const stored = await manager.find(tables.storedSecret, { where });
  return connections.map((connection) => ({
    connection,
    isClaimed: connection.claimOwner !== null && connection.claimExpiresAtMs > nowMs,
    references: references.filter(({ connectionId }) => connectionId === connection.id),
    stored: stored.filter(({ connectionId }) => connectionId === connection.id),
  }));
}

/** Secrets of these names, of whatever connection and manager. */
export async function secretsNamed(
  { manager, tables }: Transaction,
  secretIds: readonly string[],
): Promise<StoredSecretRow[]> {
  const rows: StoredSecretRow[] = [];
  for (const chunk of valueChunks([...new Set(secretIds.map(sha256Hex))]))
    rows.push(...(await manager.find(tables.storedSecret, { where: { secretIdHash: In(chunk) } })));
  return rows;
}

/** Managers that keep something of ours. */
export async function managersInUse({ manager, tables }: Transaction): Promise<ManagerName[]> {
  const rows = await manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    .select('stored.manager', 'name')
    .distinct(true)
    .where("stored.state = 'live'")
    .getRawMany<{ name: ManagerName }>();
  return rows.map(({ name }) => name);
}

/** Connections whose records wait to be published for longer than this, with the time of the oldest. */
export async function findUnsentSince(
  tx: Transaction,
  forMs: number,
): Promise<{ connectionId: string; sinceMs: number }[]> {
  const nowMs = await databaseNowMs(tx);
  const rows = await tx.manager.find(tx.tables.outbox, {
    where: { sentAtMs: IsNull(), stream: 'secured', createdAtMs: LessThan(nowMs - forMs) },
    select: { id: true, connectionId: true, createdAtMs: true },
  });
  const newest = await tx.manager.find(tx.tables.connection, {
    where: { unpublishedSinceMs: LessThan(nowMs - forMs) },
    select: { id: true, unpublishedSinceMs: true },
  });
  const oldest = new Map(newest.map(({ id, unpublishedSinceMs }) => [id, unpublishedSinceMs ?? nowMs]));
  for (const { connectionId, createdAtMs } of rows)
    if (connectionId !== null)
      oldest.set(connectionId, Math.min(createdAtMs, oldest.get(connectionId) ?? createdAtMs));
  return [...oldest].map(([connectionId, sinceMs]) => ({ connectionId, sinceMs }));
}

/** Live secrets of connections that the database does not have. */
export async function findStrays({ manager, tables }: Transaction): Promise<StoredSecretRow[]> {
  return manager
    .createQueryBuilder(tables.storedSecret, 'stored')
    .leftJoin(tables.connection.options.name, 'connection', 'connection.id = stored.connectionId')
    .where("stored.state = 'live' AND connection.id IS NULL")
    .getMany();
}

/** What the database has of names that a store lists. */
export interface KnownNames {
  /** Connections it knows at all. */
  readonly connections: ReadonlySet<string>;
  /** Rows of one manager, by secret id. */
  readonly rows: ReadonlyMap<string, StoredSecretRow>;
}

export async function loadKnownNames(
  { manager, tables }: Transaction,
  managerName: ManagerName,
  secretIds: readonly string[],
  connectionIds: readonly string[],
): Promise<KnownNames> {
  const connections = new Set<string>();
  for (const chunk of valueChunks([...new Set(connectionIds)]))
    for (const { id } of await manager.find(tables.connection, {
      where: { id: In(chunk) },
      select: { id: true },
    }))
      connections.add(id);
  const rows = new Map<string, StoredSecretRow>();
  for (const chunk of valueChunks(secretIds.map(sha256Hex)))
    for (const row of await manager.findBy(tables.storedSecret, {
      manager: managerName,
      secretIdHash: In(chunk),
    }))
      rows.set(row.secretId, row);
  return { connections, rows };
}

/** Whether the audit says that this connection once had this secret, and no field of any connection names it now. */
export async function wasOnceRecorded(
  { manager, tables }: Transaction,
  connectionId: string,
  secretId: string,
): Promise<boolean> {
  const isNamed = await manager.existsBy(tables.reference, { referenceHash: sha256Hex(secretId) });
  if (isNamed) return false;
  // Texts are no keys in every dialect: the few of the connection are looked through here.
  const rows = await manager.find(tables.audit, {
    where: { connectionId, action: In(['create', 'adopt', 'restore', 'update']) },
    select: { id: true, secretId: true },
  });
  return rows.some((row) => row.secretId === secretId);
}
