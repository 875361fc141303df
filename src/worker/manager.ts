import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { changeActiveManager, loadIdentity, type DatabaseIdentity } from '../database/settings.js';
import { ConfigurationError } from '../errors.js';
import type { ManagerName } from '../terms.js';
import { configuredMigration } from '../upkeep/migration-record.js';

/** How a process may change the active manager: by its configuration alone, or because somebody has said so. */
export type ManagerChange = 'configured' | 'explicit';

interface ActiveManagerOptions {
  readonly change: ManagerChange;
  /** Throws where the new manager cannot be used; then nothing is changed, and the former one goes on. */
  readonly requireUsable: (name: ManagerName, identity: DatabaseIdentity) => Promise<unknown>;
  /** Who does it, for the audit. */
  readonly actor: string;
  /** The same with host and command, for `migrate-secrets status`. */
  readonly changedBy: string;
  readonly onChange?: (from: ManagerName, to: ManagerName) => void;
}

/** Others may change it at the same time. */
const TRIES = 5;

/**
 * What the database remembers, with the configured manager as the active one: made so where the settings allow it.
 * From then on whoever works under another one is refused his next transaction, and every connection that is kept
 * elsewhere is moved by the event that comes for it, or by the migration.
 *
 * @throws ConfigurationError MANAGER_MISMATCH
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS: the new store does not answer, or denies
 * @throws what `requireUsable` throws
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
        `the secrets manager of this database is being changed by others: it is ${from} now, ${to} is asked for`,
      );
    await requireUsable(to, identity);
    const operation =
      change === 'explicit' ? null : (total: number) => configuredMigration(to, changedBy, total);
    const by = { actor, detail: `by ${changedBy}`, operation };
    if (await changeActiveManager(database, managerEpoch, to, by)) onChange?.(from, to);
  }
}

/**
 * Whether anything may be moved there: in the memory of a process it would be lost with it, the former copies after the grace.
 *
 * @throws ConfigurationError MANAGER_MISMATCH
 */
export function requireLasting(to: ManagerName): void {
  if (to === 'in-memory')
    throw new ConfigurationError(
      'MANAGER_MISMATCH',
      'in-memory keeps secrets in the memory of one process: nothing can be moved there from another secrets manager',
    );
}

/**
 * Why a configuration alone cannot make its manager the active one, and what to do; null: it can. By itself only `db`
 * moves to a store: a forgotten or mistyped variable must not empty a store.
 */
export function changeProblem(
  { activeManager, formerManagers }: Pick<DatabaseIdentity, 'activeManager' | 'formerManagers'>,
  { name: to, isSet, migration }: Config['secretsManager'],
): string | null {
  if (!isSet)
    return `SECRET_MANAGER is not set, but this database keeps its secrets in ${activeManager}: set SECRET_MANAGER=${activeManager}`;
  const what = `SECRET_MANAGER is ${to}, but this database keeps its secrets in ${activeManager}`;
  const command = `connection-secrets migrate-secrets --to ${to}`;
  if (formerManagers.includes(to))
    return `${what} and has left ${to}: configure ${activeManager}; only \`${command}\` goes back`;
  if (migration === 'manual' || (migration === null && activeManager !== 'db'))
    return `${what}, and SECRET_MIGRATION is ${migration ?? 'not set'}: run \`${command}\`, or configure ${activeManager}`;
  return null;
}
