import { createHmac, randomUUID } from 'node:crypto';
import { In } from 'typeorm';
import { ConfigurationError } from '../errors.js';
import type { Installation, ManagerName } from '../terms.js';
import type { Database, Transaction } from './database.js';
import { databaseNowMs } from './database.js';
import { countElsewhere } from './find-pending.js';
import {
  FINGERPRINT_KEY,
  newFingerprintKey,
  openFingerprintKey,
  openOrNull,
  type IdentityKeys,
  type Sealer,
} from './fingerprint-key.js';
import { holdUntilReplayed } from './handled-from.js';
import { lockManagerEpoch } from './manager-epoch.js';
import { fillDigests } from './reference-digests.js';
import type { OperationRow } from './rows.js';

/** What a database remembers of itself from its first start on. */
export interface DatabaseIdentity {
  /** Milliseconds since the epoch; renewed after a restore from a backup. */
  readonly generation: number;
  /** 32 random bytes; keys the fingerprints and digests. */
  readonly fingerprintKey: Buffer;
  /** False only before the first start after a version whose rows of references had no digests. */
  readonly hasDigests: boolean;
  readonly activeManager: ManagerName;
  /** Grows with every change of the active manager. */
  readonly managerEpoch: number;
  /** Managers that were active before and were left, the last one last. */
  readonly formerManagers: readonly ManagerName[];
  /** What secret ids begin with, and began with under former names. */
  readonly ownPrefixes: readonly string[];
  readonly installation: Installation;
}

/** Name of the setting; a JSON list, written by `rememberOwnPrefix`. */
export const OWN_PREFIXES = 'own_prefixes';
const KEY_CHECK = 'connection-secrets-worker';

/**
 * Reads the identity, making what is missing on the first start, and the digests of rows on the first one after a version
 * without. Throws KEY_MISMATCH where the key ring does not open it: a wrong key is noticed at start, not at the first
 * read.
 */
export async function loadIdentity(
  database: Database,
  keys: IdentityKeys,
  configuredManager: ManagerName,
): Promise<DatabaseIdentity> {
  const identity = await makeIdentity(database, keys, configuredManager);
  if (identity.hasDigests) return identity;
  await fillDigests(database, keys);
  return makeIdentity(database, keys, configuredManager);
}

function makeIdentity(
  database: Database,
  keys: IdentityKeys,
  configuredManager: ManagerName,
): Promise<DatabaseIdentity> {
  return database.transaction(async (tx) => {
    const isNew = (await readSettings(tx))['key_check'] === undefined;
    await insertMissing(tx, {
      ...(isNew ? { installation: randomUUID() } : {}),
      generation: String(await databaseNowMs(tx)),
      key_check: keys.database.seal(KEY_CHECK),
      [FINGERPRINT_KEY]: newFingerprintKey(keys),
      active_manager: configuredManager,
      manager_epoch: '1',
      former_managers: '[]',
    });
    const identity = identityOf(await readSettings(tx), keys);
    const { id, tagged } = identity.installation;
    await insertMissing(tx, { installation: id, installation_tagged: tagged });
    return identity;
  });
}

/** The same without making anything; null before the first start. Throws KEY_MISMATCH. */
export async function openIdentity(database: Database, keys: IdentityKeys): Promise<DatabaseIdentity | null> {
  const settings = await database.run(readSettings);
  return settings['key_check'] === undefined ? null : identityOf(settings, keys);
}

function identityOf(settings: Record<string, string | undefined>, keys: IdentityKeys): DatabaseIdentity {
  if (openOrNull(keys.database, settings['key_check']) !== KEY_CHECK) throw keyMismatch();
  const fingerprintKey = openFingerprintKey(settings[FINGERPRINT_KEY], keys);
  if (fingerprintKey === null) throw keyMismatch();
  return {
    generation: Number(settings['generation']),
    fingerprintKey: Buffer.from(fingerprintKey.text, 'base64'),
    hasDigests: fingerprintKey.hasDigests,
    activeManager: settings['active_manager'] as ManagerName,
    managerEpoch: Number(settings['manager_epoch']),
    formerManagers: formerOf(settings),
    ownPrefixes: JSON.parse(settings[OWN_PREFIXES] ?? '[]') as string[],
    installation: installationOf(settings, fingerprintKey.text),
  };
}

/**
 * Made at random for a new database. One of version 0.1 has none: it is derived from what a copy of it has, too, so that a
 * copy is known as one, whichever of the two is started first.
 */
function installationOf(
  { installation, installation_tagged: tagged }: Record<string, string | undefined>,
  fingerprintKey: string,
): Installation {
  if (installation !== undefined)
    return { id: installation, tagged: (tagged ?? 'all') as Installation['tagged'] };
  const id = createHmac('sha256', fingerprintKey).update('installation').digest('hex').slice(0, 32);
  return { id, tagged: 'some' };
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

/** Who changes the active manager, for the audit and `migrate-secrets status`. */
export interface ManagerChangeBy {
  readonly actor: string;
  /** How and from where, without values. */
  readonly detail: string;
  /** The operation to record with the change, `total` connections to move; null: the caller has recorded its own. */
  readonly operation: ((total: number) => Pick<OperationRow, 'kind' | 'parameters' | 'progress'>) | null;
}

/**
 * Makes another manager the active one, and records who did it, in one transaction. It waits for the transactions that
 * are under way; the next ones of workers under the old manager are refused. False where somebody else has changed the
 * epoch meanwhile: nothing is changed.
 */
export async function changeActiveManager(
  database: Database,
  expectedEpoch: number,
  to: ManagerName,
  by: ManagerChangeBy,
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
    await recordChange(tx, from, to, by);
    return true;
  });
}

async function recordChange(
  tx: Transaction,
  from: ManagerName,
  to: ManagerName,
  { actor, detail, operation }: ManagerChangeBy,
): Promise<void> {
  const nowMs = await databaseNowMs(tx);
  await tx.manager.insert(tx.tables.audit, {
    id: randomUUID(),
    atMs: nowMs,
    action: 'change-manager',
    actor,
    connectionId: null,
    path: null,
    secretId: null,
    eventId: null,
    detail: `from ${from} to ${to}, ${detail}`,
  });
  if (operation === null) return;
  const total = await countElsewhere(tx, { active: to, from: null, connectionIds: null, after: '' });
  const made = operation(total);
  // An unfinished move to somewhere else has lost its aim.
  await tx.manager.update(
    tx.tables.operation,
    { kind: made.kind, state: In(['running', 'interrupted']) },
    { state: 'failed', updatedAtMs: nowMs },
  );
  const row = { id: randomUUID(), state: 'running', createdAtMs: nowMs, updatedAtMs: nowMs };
  await tx.manager.insert(tx.tables.operation, { ...row, ...made });
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
    activeManager,
    formerManagers: formerOf(settings),
    generation: Number(generation),
    keyCheck,
  };
}

/** Whether a ring opens the check value of {@link readIdentity}. */
export function opensKeyCheck(ring: Sealer, keyCheck: string): boolean {
  return openOrNull(ring, keyCheck) === KEY_CHECK;
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

function keyMismatch(): ConfigurationError {
  return new ConfigurationError(
    'KEY_MISMATCH',
    'FERNET_KEY does not open what this database holds: start with the key it was written with, or add that key to the list',
  );
}
