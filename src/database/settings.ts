import { randomBytes } from 'node:crypto';
import { ConfigurationError } from '../errors.js';
import type { ManagerName } from '../terms.js';
import type { Database, Transaction } from './database.js';
import { databaseNowMs } from './database.js';
import { holdUntilReplayed } from './handled-from.js';

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
  /** Managers that were active before and were left, the last one last. */
  readonly formerManagers: readonly ManagerName[];
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
      former_managers: '[]',
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
    formerManagers: formerOf(settings),
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
    await holdUntilReplayed(tx);
    return generation;
  });
}

/**
 * Makes another manager the active one. It waits for the transactions that are under way; the next ones of whoever works
 * under the old one are refused. False where somebody else has changed the epoch meanwhile: nothing is changed.
 */
export async function changeActiveManager(
  database: Database,
  expectedEpoch: number,
  to: ManagerName,
): Promise<boolean> {
  return database.transaction(async (tx) => {
    if ((await lockManagerEpoch(tx, 'update')) !== expectedEpoch) return false;
    const settings = await readSettings(tx);
    const from = settings['active_manager'] as ManagerName;
    const former = [...formerOf(settings).filter((name) => name !== to && name !== from), from];
    const changed = {
      active_manager: to,
      manager_epoch: String(expectedEpoch + 1),
      former_managers: JSON.stringify(former),
    };
    for (const [name, value] of Object.entries(changed))
      await tx.manager.update(tx.tables.setting, { name }, { value });
    return true;
  });
}

function formerOf(settings: Record<string, string | undefined>): readonly ManagerName[] {
  return JSON.parse(settings['former_managers'] ?? '[]') as ManagerName[];
}

export type StoredIdentity = Pick<DatabaseIdentity, 'activeManager' | 'formerManagers' | 'generation'> & {
  /** See {@link opensKeyCheck}. */
  readonly keyCheck: string;
};

/** The identity as it lies there, without making anything; null before the first start. */
export async function readIdentity(database: Database): Promise<StoredIdentity | null> {
  const settings = await database.run(readSettings);
  const { active_manager: activeManager, generation, key_check: keyCheck } = settings;
  if (activeManager === undefined || generation === undefined || keyCheck === undefined) return null;
  return {
    activeManager: activeManager as ManagerName,
    formerManagers: formerOf(settings),
    generation: Number(generation),
    keyCheck,
  };
}

/** Whether a ring opens the check value of {@link readIdentity}. */
export function opensKeyCheck(ring: Sealer, keyCheck: string): boolean {
  return openOrNull(ring, keyCheck) === KEY_CHECK;
}

/** MariaDB does not know `FOR SHARE`, which TypeORM would send it: MySQL and MariaDB both know the older form. */
const LOCKS = {
  share: { sqlite: '', postgres: 'FOR SHARE', mysql: 'LOCK IN SHARE MODE' },
  update: { sqlite: '', postgres: 'FOR UPDATE', mysql: 'FOR UPDATE' },
} as const;

/** Locked for the rest of the transaction, so that the manager does not change under a commit. */
export async function lockManagerEpoch(
  { manager, dialect }: Transaction,
  lock: keyof typeof LOCKS = 'share',
): Promise<number> {
  const rows = await manager.query<{ value: string }[]>(
    `SELECT value FROM setting WHERE name = 'manager_epoch' ${LOCKS[lock][dialect]}`,
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
