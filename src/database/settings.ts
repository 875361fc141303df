import { randomBytes } from 'node:crypto';
import { ConfigurationError } from '../errors.js';
import type { ManagerName } from '../terms.js';
import type { Database, Transaction } from './database.js';
import { databaseNowMs } from './database.js';

/** What seals the settings: the key ring of FERNET_KEY. */
export interface Sealer {
  seal(text: string): string;
  open(token: string): string;
}

/** What a database remembers of itself from its first start on. */
export interface DatabaseIdentity {
  /** Milliseconds since the epoch; renewed after a restore from a backup. */
  readonly generation: number;
  /** 32 random bytes; keys the fingerprints and digests. */
  readonly fingerprintKey: Buffer;
  readonly activeManager: ManagerName;
  /** Grows with every change of the active manager. */
  readonly managerEpoch: number;
}

const KEY_CHECK = 'connection-secrets-worker';

/**
 * Reads the identity, making what is missing on the first start. Throws KEY_MISMATCH where the key ring does not open
 * it: a wrong key is noticed at start, not at the first read.
 */
export async function loadIdentity(
  database: Database,
  ring: Sealer,
  configuredManager: ManagerName,
): Promise<DatabaseIdentity> {
  return database.transaction(async (tx) => {
    await insertMissing(tx, {
      generation: String(await databaseNowMs(tx)),
      key_check: ring.seal(KEY_CHECK),
      fingerprint_key: ring.seal(randomBytes(32).toString('base64')),
      active_manager: configuredManager,
      manager_epoch: '1',
    });
    return identityOf(await readSettings(tx), ring);
  });
}

/** The same without making anything; null before the first start. Throws KEY_MISMATCH. */
export async function openIdentity(database: Database, ring: Sealer): Promise<DatabaseIdentity | null> {
  const settings = await database.run(readSettings);
  return settings['key_check'] === undefined ? null : identityOf(settings, ring);
}

function identityOf(settings: Record<string, string | undefined>, ring: Sealer): DatabaseIdentity {
  if (openOrNull(ring, settings['key_check']) !== KEY_CHECK) throw keyMismatch();
  const fingerprintKey = openOrNull(ring, settings['fingerprint_key']);
  if (fingerprintKey === null) throw keyMismatch();
  return {
    generation: Number(settings['generation']),
    fingerprintKey: Buffer.from(fingerprintKey, 'base64'),
    activeManager: settings['active_manager'] as ManagerName,
    managerEpoch: Number(settings['manager_epoch']),
  };
}

/**
 * After a restore from a backup, whose revisions are behind what was published: a new generation, so that everything
 * published from now on is newer to its readers. Workers that still run stop at their next transaction. Returns it.
 */
export async function renewGeneration(database: Database): Promise<number> {
  return database.transaction(async (tx) => {
    const epoch = await lockManagerEpoch(tx);
    const generation = await databaseNowMs(tx);
    await tx.manager.update(tx.tables.setting, { name: 'generation' }, { value: String(generation) });
    await tx.manager.update(tx.tables.setting, { name: 'manager_epoch' }, { value: String(epoch + 1) });
    return generation;
  });
}

/** The identity as it lies there, without making anything; null before the first start. */
export async function readIdentity(
  database: Database,
): Promise<{ activeManager: string; generation: number; keyCheck: string } | null> {
  const settings = await database.run(readSettings);
  const { active_manager: activeManager, generation, key_check: keyCheck } = settings;
  if (activeManager === undefined || generation === undefined || keyCheck === undefined) return null;
  return { activeManager, generation: Number(generation), keyCheck };
}

/** Whether a ring opens the check value of {@link readIdentity}. */
export function opensKeyCheck(ring: Sealer, keyCheck: string): boolean {
  return openOrNull(ring, keyCheck) === KEY_CHECK;
}

/** MariaDB does not know `FOR SHARE`, which TypeORM would send it: MySQL and MariaDB both know the older form. */
const SHARE_LOCK = { sqlite: '', postgres: 'FOR SHARE', mysql: 'LOCK IN SHARE MODE' } as const;

/** Locked for the rest of the transaction, so that the manager does not change under a commit. */
export async function lockManagerEpoch({ manager, dialect }: Transaction): Promise<number> {
  const rows = await manager.query<{ value: string }[]>(
    `SELECT value FROM setting WHERE name = 'manager_epoch' ${SHARE_LOCK[dialect]}`,
  );
  return Number(rows[0]?.value);
}

async function insertMissing(
  { manager, tables }: Transaction,
  defaults: Readonly<Record<string, string>>,
): Promise<void> {
  const values = Object.entries(defaults).map(([name, value]) => ({ name, value }));
  await manager.createQueryBuilder().insert().into(tables.setting).values(values).orIgnore().execute();
}

async function readSettings({ manager, tables }: Transaction): Promise<Record<string, string | undefined>> {
  const rows = await manager.find(tables.setting);
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

function openOrNull(ring: Sealer, token: string | undefined): string | null {
  if (token === undefined) return null;
  try {
    return ring.open(token);
  } catch {
    return null;
  }
}

function keyMismatch(): ConfigurationError {
  return new ConfigurationError(
    'KEY_MISMATCH',
    'FERNET_KEY does not open what this database holds: start with the key it was written with, or add that key to the list',
  );
}
