import { In, IsNull, Not } from 'typeorm';
import { sha256Hex } from '../hash.js';
import { valueChunks } from './row-sql.js';
import type { Database } from './database.js';
import type { ConnectionRow, DeadLetterRow, StoredSecretRow } from './rows.js';

/** A secret field of a stored connection, with what its id is made of. */
export type StoredField = {
  readonly connection: ConnectionRow;
  readonly path: string;
};

/** Kept events of known connections, whole, in the order of their hashes, after one of them. */
export async function keptEventsAfter(
  database: Database,
  after: string,
  limit: number,
): Promise<DeadLetterRow[]> {
  return database.run(({ manager, tables }) =>
    manager
      .createQueryBuilder(tables.deadLetter, 'kept')
      .where("kept.eventHash > :after AND kept.payload <> ''", { after })
      .andWhere('kept.connectionId IS NOT NULL')
      .orderBy('kept.eventHash')
      .limit(limit)
      .getMany(),
  );
}

/** The secret fields of connections that are not deleted, a page of connections at a time, by their ids. */
export async function fieldsAfter(
  database: Database,
  after: string,
  limit: number,
): Promise<{ readonly fields: readonly StoredField[]; readonly next: string | null }> {
  return database.run(async ({ manager, tables }) => {
    const connections = await manager
      .createQueryBuilder(tables.connection, 'connection')
      .where("connection.id > :after AND connection.state IN ('live', 'softDeleted')", { after })
      .orderBy('connection.id')
      .limit(limit)
      .getMany();
    const byId = new Map(connections.map((connection) => [connection.id, connection]));
    const references =
      connections.length === 0
        ? []
        : await manager.find(tables.reference, {
            where: { connectionId: In([...byId.keys()]) },
            select: { connectionId: true, pathHash: true, path: true },
          });
    return {
      fields: references.flatMap(({ connectionId, path }) => {
        const connection = byId.get(connectionId);
        return connection === undefined ? [] : [{ connection, path }];
      }),
      next: connections.length < limit ? null : (connections.at(-1)?.id ?? null),
    };
  });
}

/** Rows of stored secrets with one of these ids that are not deleted. */
export async function holdersOf(
  database: Database,
  secretIds: readonly string[],
): Promise<StoredSecretRow[]> {
  return database.run(async ({ manager, tables }) => {
    const rows: StoredSecretRow[] = [];
    for (const chunk of valueChunks(secretIds.map(sha256Hex)))
      rows.push(
        ...(await manager.find(tables.storedSecret, {
          where: { secretIdHash: In(chunk), state: Not('deleted') },
        })),
      );
    return rows;
  });
}

/** Users' references to one of these ids: fields that name a secret which their connection does not own. */
export async function referrersOf(
  database: Database,
  secretIds: readonly string[],
): Promise<{ readonly secretId: string; readonly connectionId: string; readonly path: string }[]> {
  const idByHash = new Map(secretIds.map((secretId) => [sha256Hex(secretId), secretId]));
  return database.run(async ({ manager, tables }) => {
    const found: { secretId: string; connectionId: string; path: string }[] = [];
    for (const chunk of valueChunks([...idByHash.keys()])) {
      const rows = await manager.find(tables.reference, {
        where: { referenceHash: In(chunk), secretId: IsNull() },
        select: { connectionId: true, pathHash: true, path: true, referenceHash: true },
      });
      for (const { connectionId, path, referenceHash } of rows)
        found.push({ connectionId, path, secretId: idByHash.get(referenceHash ?? '') ?? '' });
    }
    return found;
  });
}

/** How many of these kept events are still kept. */
export async function countKept(database: Database, eventHashes: readonly string[]): Promise<number> {
  return database.run(async ({ manager, tables }) => {
    let kept = 0;
    for (const chunk of valueChunks(eventHashes))
      kept += await manager.countBy(tables.deadLetter, { eventHash: In(chunk) });
    return kept;
  });
}
