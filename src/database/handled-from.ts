import { LessThanOrEqual, MoreThan, IsNull } from 'typeorm';
import { sha256Hex } from '../hash.js';
import { databaseNowMs, type Database, type Transaction } from './database.js';

interface Place {
  readonly topic: string;
  readonly partition: number;
}

const PREFIX = 'handled_from/';
const HOLD = 'replay_due';
/** A replay that has not been heard of for so long was killed. */
const REPLAY_SILENT_MS = 60_000;

/**
 * From which offset on this database has handled a partition without a gap; remembered once it is known. The oldest
 * event of the partition that the inbox knows; where it knows none, `committed`: what came before it is another
 * database's, or nobody's.
 */
export async function handledFrom(database: Database, place: Place, committed: number): Promise<number> {
  return database.transaction(async (tx) => {
    const name = nameOf(place);
    const known = await tx.manager.findOneBy(tx.tables.setting, { name });
    if (known !== null) return Number(known.value);
    const from = Math.min(committed, (await oldestHandled(tx, place)) ?? committed);
    const value = { name, value: String(from) };
    await tx.manager.createQueryBuilder().insert().into(tx.tables.setting).values(value).orIgnore().execute();
    return from;
  });
}

/** After a replay of everything from there on: what lies behind it is this database's now. */
export async function setHandledFrom(
  database: Database,
  places: readonly (Place & { readonly from: number })[],
  isEverything: boolean,
): Promise<void> {
  await database.transaction(async (tx) => {
    for (const place of places) {
      const name = nameOf(place);
      const known = await tx.manager.findOneBy(tx.tables.setting, { name });
      const from = Math.min(place.from, known === null ? Infinity : Number(known.value));
      await tx.manager.upsert(tx.tables.setting, { name, value: String(from) }, ['name']);
    }
    if (isEverything) await tx.manager.delete(tx.tables.setting, { name: HOLD });
  });
}

/** After a restore from a backup: what was handled since is not in this database. Holds until a replay of everything. */
export async function holdUntilReplayed({ manager, tables }: Transaction): Promise<void> {
  await manager.upsert(tables.setting, { name: HOLD, value: 'restored' }, ['name']);
}

/** Why no source record may be deleted at present; null: nothing speaks against it. */
export async function reasonToKeepRecords(database: Database, unsentSinceMs: number): Promise<string | null> {
  return database.run(async (tx) => {
    const { manager, tables } = tx;
    if (await manager.existsBy(tables.setting, { name: HOLD }))
      return 'the database was restored from a backup: run `connection-secrets replay` first';
    const replay = { kind: 'replay', state: 'running' };
    const heardMs = (await databaseNowMs(tx)) - REPLAY_SILENT_MS;
    if (await manager.existsBy(tables.operation, { ...replay, updatedAtMs: MoreThan(heardMs) }))
      return 'a replay reads them';
    const unsent = { sentAtMs: IsNull(), createdAtMs: LessThanOrEqual(unsentSinceMs) };
    return (await manager.existsBy(tables.outbox, unsent)) ? 'something is not published yet' : null;
  });
}

export async function databaseTimeMs(database: Database): Promise<number> {
  return database.run(databaseNowMs);
}

async function oldestHandled(
  { manager, tables }: Transaction,
  { topic, partition }: Place,
): Promise<number | null> {
  const found = await manager
    .createQueryBuilder(tables.inbox, 'inbox')
    .select('MIN(inbox.position)', 'oldest')
    .where('inbox.topic = :topic AND inbox.partition = :partition', { topic, partition })
    .getRawOne<{ oldest: string | number | null }>();
  return found?.oldest == null ? null : Number(found.oldest);
}

/** A topic's name is longer than a setting's may be. */
function nameOf({ topic, partition }: Place): string {
  return `${PREFIX}${sha256Hex(`${topic}/${partition}`).slice(0, 40)}`;
}
