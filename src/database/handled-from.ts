import { IsNull, LessThanOrEqual, Like, MoreThan } from 'typeorm';
import { sha256Hex } from '../hash.js';
import { databaseNowMs, type Database, type Transaction } from './database.js';

interface Place {
  readonly topic: string;
  readonly partition: number;
}

const PREFIX = 'handled_from/';
const HOLD = 'replay_due';
/** A replay that has not updated its row for this long counts as killed. */
const REPLAY_SILENT_MS = 60_000;

/**
 * Records, before a group handles its first record on this database, the offset from which it handles each partition
 * without a gap. Offsets that are recorded already stay. The inbox cannot show this: partial replays leave rows in it, too.
 */
export async function rememberHandledFrom(
  database: Database,
  places: readonly (Place & { readonly from: number })[],
): Promise<void> {
  const values = places.map((place) => ({ name: nameOf(place), value: String(place.from) }));
  if (values.length === 0) return;
  await database.transaction(({ manager, tables }) =>
    manager.createQueryBuilder().insert().into(tables.setting).values(values).orIgnore().execute(),
  );
}

/** Forgets these offsets when another group takes the database over, because it has offsets of its own. */
export async function forgetHandledFrom({ manager, tables }: Transaction): Promise<void> {
  await manager.delete(tables.setting, { name: Like(`${PREFIX}%`) });
}

/** The offset from which this database has handled a partition without a gap. Null: not recorded. */
export async function handledFrom(database: Database, place: Place): Promise<number | null> {
  const known = await database.run(({ manager, tables }) =>
    manager.findOneBy(tables.setting, { name: nameOf(place) }),
  );
  return known === null ? null : Number(known.value);
}

/** After a replay of all records from these offsets: the database has handled everything after them without a gap. */
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

/** After a restore from a backup, the database lacks what was handled since: keeps source records until a full replay. */
export async function holdUntilReplayed({ manager, tables }: Transaction): Promise<void> {
  await manager.upsert(tables.setting, { name: HOLD, value: 'restored' }, ['name']);
}

/** Why no source record may be deleted at present. Null: they may be deleted. */
export async function reasonToKeepRecords(database: Database, unsentSinceMs: number): Promise<string | null> {
  return database.run(async (tx) => {
    const { manager, tables } = tx;
    if (await manager.existsBy(tables.setting, { name: HOLD }))
      return 'the database was restored from a backup: run `connection-secrets replay` first';
    const replay = { kind: 'replay', state: 'running' };
    const heardMs = (await databaseNowMs(tx)) - REPLAY_SILENT_MS;
    if (await manager.existsBy(tables.operation, { ...replay, updatedAtMs: MoreThan(heardMs) }))
      return 'a replay reads them';
    const long = LessThanOrEqual(unsentSinceMs);
    const isUnsent =
      (await manager.existsBy(tables.outbox, { sentAtMs: IsNull(), createdAtMs: long })) ||
      (await manager.existsBy(tables.connection, { unpublishedSinceMs: long }));
    return isUnsent ? 'something is not published yet' : null;
  });
}

export async function databaseTimeMs(database: Database): Promise<number> {
  return database.run(databaseNowMs);
}

/** The setting's name. It has a hash of the topic, because a topic's name may be longer than a setting's. */
function nameOf({ topic, partition }: Place): string {
  return `${PREFIX}${sha256Hex(`${topic}/${partition}`).slice(0, 40)}`;
}
