import { randomUUID } from 'node:crypto';
import { In, IsNull } from 'typeorm';
import { ConfigurationError } from '../errors.js';
import { firstDigest } from '../pipeline/references.js';
import { rowChunks } from './row-sql.js';
import { databaseNowMs, type Database, type Transaction } from './database.js';
import { DatabaseError } from './errors.js';
import { FINGERPRINT_KEY, openFingerprintKey, type IdentityKeys } from './fingerprint-key.js';
import { lockConnections } from './load-state.js';
import { lockManagerEpoch } from './manager-epoch.js';
import type { ReferenceRow } from './rows.js';

/** Connections whose rows get their digests in one transaction. */
const PAGE = 200;

interface Filled {
  readonly filled: number;
  /** Rows that do not hold their own: they stay without a digest, and are refused. */
  readonly altered: number;
}

/**
 * Gives the rows of an earlier version their digests, once: from the end of it on a row without one is refused. Each page
 * is a transaction of its own; whoever is killed in between, or does the same at the same time, does no harm.
 *
 * A worker of an earlier version may still be at work, and would write rows without digests. So the first page begins a
 * new epoch: its next transaction is refused, it stops, and it is refused the newer schema when it starts again. A worker
 * of this version begins only when all rows are done, so no row is filled in behind one.
 */
export async function fillDigests(database: Database, keys: IdentityKeys): Promise<void> {
  let total: Filled = { filled: 0, altered: 0 };
  for (let after: string | null = ''; after !== null;) {
    const from: string = after;
    const page = await database.transaction((tx) => fillPage(tx, keys, from, total));
    total = page.total;
    after = page.next;
  }
}

async function fillPage(
  tx: Transaction,
  keys: IdentityKeys,
  after: string,
  before: Filled,
): Promise<{ readonly total: Filled; readonly next: string | null }> {
  const epoch = await lockManagerEpoch(tx, 'update');
  const stored = await readKey(tx, keys);
  // Somebody else was faster.
  if (stored === null || stored.hasDigests) return { total: before, next: null };
  if (after === '') await beginEpoch(tx, epoch);
  const fingerprintKey = Buffer.from(stored.text, 'base64');
  const ids = await connectionsWithout(tx, after);
  // `rotate-keys` seals rows anew under this lock, and under no epoch.
  await lockConnections(tx, ids);
  const rows = await rowsWithout(tx, ids);
  const filled = rows
    .map((row) => firstDigest(row, { rings: { database: keys.database }, fingerprintKey }))
    .filter(({ digest }) => digest !== null);
  for (const chunk of rowChunks(filled))
    await tx.manager.upsert(tx.tables.reference, chunk, { conflictPaths: ['connectionId', 'pathHash'] });
  const total = {
    filled: before.filled + filled.length,
    altered: before.altered + rows.length - filled.length,
  };
  const next = ids.length < PAGE ? null : (ids.at(-1) ?? null);
  if (next === null) {
    await replaceKey(tx, stored.token, keys.fingerprint.seal(stored.text));
    await record(tx, total);
  }
  return { total, next };
}

/**
 * Takes back that the rows have digests, before the column goes: an earlier version reads the fingerprint key under
 * FERNET_KEY itself, and a later one fills again what that has written.
 *
 * @throws ConfigurationError CONFIG_INVALID where it has no keys and needs them, KEY_MISMATCH
 */
export async function forgetDigests(database: Database, keys: IdentityKeys | null): Promise<void> {
  await database.transaction(async (tx) => {
    const isStarted = await tx.manager.existsBy(tx.tables.setting, { name: FINGERPRINT_KEY });
    if (!isStarted) return;
    if (keys === null)
      throw new ConfigurationError(
        'CONFIG_INVALID',
        'FERNET_KEY is not set: an earlier version reads a setting of this database that has to be sealed for it',
      );
    const epoch = await lockManagerEpoch(tx, 'update');
    const stored = await readKey(tx, keys);
    if (stored === null)
      throw new ConfigurationError('KEY_MISMATCH', 'FERNET_KEY does not open what this database holds');
    if (!stored.hasDigests) return;
    await beginEpoch(tx, epoch);
    await replaceKey(tx, stored.token, keys.database.seal(stored.text));
  });
}

async function readKey({ manager, tables }: Transaction, keys: IdentityKeys) {
  const token = (await manager.findOneBy(tables.setting, { name: FINGERPRINT_KEY }))?.value;
  const opened = openFingerprintKey(token, keys);
  return opened === null || token === undefined ? null : { ...opened, token };
}

/** Not where `rotate-keys` has sealed it anew meanwhile: then all of the transaction is done again. */
async function replaceKey({ manager, tables }: Transaction, from: string, to: string): Promise<void> {
  const { affected } = await manager.update(
    tables.setting,
    { name: FINGERPRINT_KEY, value: from },
    { value: to },
  );
  if (affected !== 1) throw new DatabaseError('contention', null);
}

async function beginEpoch({ manager, tables }: Transaction, epoch: number): Promise<void> {
  await manager.update(tables.setting, { name: 'manager_epoch' }, { value: String(epoch + 1) });
}

async function connectionsWithout({ manager, tables }: Transaction, after: string): Promise<string[]> {
  const found = await manager
    .createQueryBuilder(tables.reference, 'reference')
    .select('reference.connectionId', 'id')
    .distinct(true)
    .where('reference.connectionId > :after AND reference.digest IS NULL', { after })
    .orderBy('reference.connectionId')
    .limit(PAGE)
    .getRawMany<{ id: string }>();
  return found.map(({ id }) => id);
}

async function rowsWithout(
  { manager, tables }: Transaction,
  ids: readonly string[],
): Promise<ReferenceRow[]> {
  if (ids.length === 0) return [];
  return manager.findBy(tables.reference, { connectionId: In([...ids]), digest: IsNull() });
}

async function record(tx: Transaction, { filled, altered }: Filled): Promise<void> {
  await tx.manager.insert(tx.tables.audit, {
    id: randomUUID(),
    atMs: await databaseNowMs(tx),
    action: 'fill-digests',
    actor: null,
    connectionId: null,
    path: null,
    secretId: null,
    eventId: null,
    detail: `${filled} rows of references got their digest, ${altered} did not hold their own and got none`,
  });
}
