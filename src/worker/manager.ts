import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { changeActiveManager, loadIdentity, type DatabaseIdentity } from '../database/settings.js';
import { ConfigurationError } from '../errors.js';
import { DEFAULT_MANAGER, providerOf } from '../secrets-managers/providers.js';
import type { ManagerName } from '../terms.js';
import { configuredMigration } from '../upkeep/migration-record.js';

/** Why a process may change the active manager: its configuration says so, or an operator's command. */
export type ManagerChange = 'configured' | 'explicit';

interface ActiveManagerOptions {
  readonly change: ManagerChange;
  /** Rejects if the new manager cannot be used; then nothing changes. */
  readonly requireUsable: (name: ManagerName, identity: DatabaseIdentity) => Promise<unknown>;
  /** Who changes it, for the audit. */
  readonly actor: string;
  /** The actor with host and command, for `migrate-secrets status`. */
  readonly changedBy: string;
  readonly onChange?: ((from: ManagerName, to: ManagerName) => void) | undefined;
}

/** Other processes may change it at the same time. */
const TRIES = 5;

/**
 * Loads the identity of the database. If its active manager is not the configured one, changes it, provided that the
 * settings allow it. From then on the database refuses transactions of workers under another manager, and every
 * connection in another manager is moved: by its next event, or by the migration.
 *
 * @throws ConfigurationError MANAGER_MISMATCH
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS: the new store does not answer, or denies access
 * @throws the errors of `requireUsable`
 */
export async function loadActiveIdentity(
  database: Database,
  { keys, secretsManager }: Config<'keys'>,
  { change, requireUsable, actor, changedBy, onChange }: ActiveManagerOptions,
): Promise<DatabaseIdentity> {
  const to = secretsManager.name;
  for (let tries = 0; ; tries += 1) {
    const identity = await loadIdentity(database, keys, to);
    const { activeManager: from, managerEpoch } = identity;
    if (from === to) return identity;
    requireLasting(to);
    const problem = change === 'explicit' ? null : changeProblem(identity, secretsManager);
    if (problem !== null) throw new ConfigurationError('MANAGER_MISMATCH', problem);
    if (tries === TRIES)
      throw new ConfigurationError(
        'MANAGER_MISMATCH',
        `other processes are changing the secrets manager of this database: it is ${from} now, and ${to} is configured; start again when they are done`,
      );
    await requireUsable(to, identity);
    const operation =
      change === 'explicit' ? null : (total: number) => configuredMigration(to, changedBy, total);
    const by = { actor, detail: `by ${changedBy}`, operation };
    if (await changeActiveManager(database, managerEpoch, to, by)) onChange?.(from, to);
  }
}

/**
 * Refuses to move secrets into the memory of a process: they would be lost when it ends.
 *
 * @throws ConfigurationError MANAGER_MISMATCH
 */
export function requireLasting(to: ManagerName): void {
  if (!providerOf(to).isLasting)
    throw new ConfigurationError(
      'MANAGER_MISMATCH',
      `${to} holds secrets in the memory of one process: secrets cannot be moved there from another secrets manager`,
    );
}

/**
 * Says why the configuration alone cannot make its manager the active one, and what to do; null if it can. By default
 * secrets move only from `db` to a store: a forgotten or mistyped variable must not empty a store.
 */
export function changeProblem(
  { activeManager, formerManagers }: Pick<DatabaseIdentity, 'activeManager' | 'formerManagers'>,
  { name: to, isSet, migration }: Config['secretsManager'],
): string | null {
  if (!isSet)
    return `SECRET_MANAGER is not set, but the secrets of this database are in ${activeManager}: set SECRET_MANAGER=${activeManager}`;
  const what = `SECRET_MANAGER is ${to}, but the secrets of this database are in ${activeManager}`;
  const command = `connection-secrets migrate-secrets --to ${to}`;
  if (formerManagers.includes(to))
    return `${what} and were moved there from ${to}: configure ${activeManager}; only \`${command}\` moves them back`;
  if (migration === 'manual' || (migration === null && activeManager !== DEFAULT_MANAGER))
    return `${what}, and SECRET_MIGRATION is ${migration ?? 'not set'}: run \`${command}\`, or configure ${activeManager}`;
  return null;
}
