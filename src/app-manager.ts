import type { Config } from './config.js';
import type { Database } from './database/database.js';
import { changeActiveManager, loadIdentity, type DatabaseIdentity } from './database/settings.js';
import { ConfigurationError } from './errors.js';
import type { ManagerName } from './terms.js';

/** How a process may change the active manager: by its configuration alone, or because somebody has said so. */
export type ManagerChange = 'configured' | 'explicit';

export interface ActiveManagerOptions {
  readonly change: ManagerChange;
  /** Throws where the new manager can not be used; then nothing is changed, and the former one goes on. */
  readonly requireUsable: (name: ManagerName) => Promise<unknown>;
  readonly onChange?: (from: ManagerName, to: ManagerName) => void;
}

/** Others may change it at the same time. */
const TRIES = 5;

/**
 * What the database remembers, with the configured manager as the active one: made so where `SECRET_MIGRATION` allows it.
 * From then on whoever works under another one is refused his next transaction, and every connection that is kept
 * elsewhere is moved by the event that comes for it, or by the migration.
 *
 * @throws ConfigurationError MANAGER_MISMATCH
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS: the new store does not answer, or denies
 */
export async function loadActiveIdentity(
  database: Database,
  { keys, secretsManager }: Config<'keys'>,
  { change, requireUsable, onChange }: ActiveManagerOptions,
): Promise<DatabaseIdentity> {
  const to = secretsManager.name;
  for (let tries = 0; ; tries += 1) {
    const identity = await loadIdentity(database, keys.database, to);
    const { activeManager: from, managerEpoch } = identity;
    if (from === to) return identity;
    requireLasting(to);
    if (change === 'configured') requireChange(identity, to, secretsManager.migration);
    if (tries === TRIES)
      throw new ConfigurationError(
        'MANAGER_MISMATCH',
        `the secrets manager of this database is being changed by others: it is ${from} now, ${to} is asked for`,
      );
    await requireUsable(to);
    if (await changeActiveManager(database, managerEpoch, to)) onChange?.(from, to);
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

/** Whether a configuration alone may make it the active one. */
function requireChange(
  { activeManager, formerManagers }: DatabaseIdentity,
  to: ManagerName,
  migration: Config['secretsManager']['migration'],
): void {
  const what = `SECRET_MANAGER is ${to}, but this database keeps its secrets in ${activeManager}`;
  if (formerManagers.includes(to))
    throw new ConfigurationError(
      'MANAGER_MISMATCH',
      `${what} and has left ${to}: configure ${activeManager}; back goes only \`connection-secrets migrate-secrets --to ${to}\``,
    );
  if (migration === 'manual')
    throw new ConfigurationError(
      'MANAGER_MISMATCH',
      `${what}, and SECRET_MIGRATION is manual: run \`connection-secrets migrate-secrets --to ${to}\`, or configure ${activeManager}`,
    );
}
