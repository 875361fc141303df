import { In } from 'typeorm';
import type { ManagerName } from '../terms.js';
import type { OutboxRow } from './rows.js';
import type { Transaction } from './database.js';

/** What the database knows about a connection's last secured event. */
export interface LastSecured {
  readonly connectionId: string;
  readonly revision: number;
  readonly manager: ManagerName | null;
  /** Id of the key that sealed its tokens. Null: an earlier version made it. */
  readonly keyId: string | null;
  /** If an earlier version made it: its row in the outbox, until that is removed (`OUTBOX_RETENTION_DAYS`). */
  readonly record: OutboxRow | null;
}

export interface TokenHolders {
  readonly after: string;
  readonly limit: number;
  /** Whether references are published as tokens, too (`SECURED_REFERENCES=sealed`); else only values are. */
  readonly withReferences: boolean;
}

const PAGE_KEY = 'reference.connectionId';

/** Connections whose secured events carry tokens, in the order of their ids, with the last of these events. */
export async function findTokenHolders(
  tx: Transaction,
  { after, limit, withReferences }: TokenHolders,
): Promise<LastSecured[]> {
  const { manager, tables } = tx;
  const query = manager
    .createQueryBuilder(tables.reference, 'reference')
    .select(PAGE_KEY, 'id')
    .distinct(true)
    .where(`${PAGE_KEY} > :after`, { after });
  if (!withReferences) query.andWhere("reference.holds = 'value'");
  const found = await query.orderBy(PAGE_KEY).limit(limit).getRawMany<{ id: string }>();
  return lastSecuredOf(
    tx,
    found.map(({ id }) => id),
  );
}

/** How many connections {@link findTokenHolders} returns on all its pages. */
export async function countTokenHolders(
  { manager, tables }: Transaction,
  { after, withReferences }: Omit<TokenHolders, 'limit'>,
): Promise<number> {
  const query = manager
    .createQueryBuilder(tables.reference, 'reference')
    .select(`COUNT(DISTINCT ${PAGE_KEY})`, 'total')
    .where(`${PAGE_KEY} > :after`, { after });
  if (!withReferences) query.andWhere("reference.holds = 'value'");
  return Number((await query.getRawOne<{ total: string | number }>())?.total ?? 0);
}

async function lastSecuredOf(
  { manager, tables }: Transaction,
  ids: readonly string[],
): Promise<LastSecured[]> {
  if (ids.length === 0) return [];
  const connections = await manager.find(tables.connection, {
    where: { id: In([...ids]) },
    select: { id: true, revision: true, manager: true, securedFrom: true },
    order: { id: 'ASC' },
  });
  const records: OutboxRow[] = [];
  for (const { id: connectionId, revision, securedFrom } of connections)
    if (securedFrom === null)
      records.push(...(await manager.findBy(tables.outbox, { connectionId, stream: 'secured', revision })));
  return connections.map(({ id, revision, manager: keeper, securedFrom }) => ({
    connectionId: id,
    revision,
    manager: keeper,
    keyId: securedFrom?.keyId ?? null,
    record: records.find((row) => row.connectionId === id) ?? null,
  }));
}

/** Setting with the id of the key that sealed every connection's last record when the last rotation ended. */
const INGESTION_KEY = 'ingestion_key';

/** Id of the key; null: no rotation has ended yet. */
export async function readIngestionKey({ manager, tables }: Transaction): Promise<string | null> {
  return (await manager.findOneBy(tables.setting, { name: INGESTION_KEY }))?.value ?? null;
}

export async function saveIngestionKey({ manager, tables }: Transaction, keyId: string): Promise<void> {
  await manager.upsert(tables.setting, { name: INGESTION_KEY, value: keyId }, ['name']);
}
