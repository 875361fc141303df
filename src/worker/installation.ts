import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { readMarkedStores, rememberMarkedStore, type MarkedStore } from '../database/installation.js';
import { databasePlace } from '../database/place.js';
import type { DatabaseIdentity } from '../database/settings.js';
import { managersInUse } from '../database/verify-pages.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { markerIdOf } from '../ids/index.js';
import type { ManagerSource } from '../pipeline/context.js';
import { readMarker, writeMarker, type Place, type StoreMarker } from '../secrets-managers/marker.js';
import type { SecretStore } from '../secrets-managers/port.js';

export interface StoreWork {
  readonly config: Pick<Config<'keys'>, 'database' | 'secretsManager'>;
  readonly database: Database;
  readonly identity: Pick<DatabaseIdentity, 'activeManager' | 'installation'>;
  readonly managers: ManagerSource;
  /** Asks the broker which cluster it is of; null where Kafka takes no part in this. */
  readonly kafkaCluster: (() => Promise<string>) | null;
}

interface MarkedAt extends MarkedStore {
  readonly store: SecretStore;
  /** The one that is worked on now; the others may have become unreadable with a change of permissions. */
  readonly isCurrent: boolean;
}

/**
 * Whether this database may work on the stores that it works on: each remembers the installation and where it runs. A copy
 * of the database (a restored dump, a staging system) would overwrite and delete the original's secrets. Asked once at
 * start, before anything is written; a store that remembers nobody is marked.
 *
 * @throws ConfigurationError STORE_OF_ANOTHER_INSTALLATION
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS, BROKER_UNAVAILABLE
 */
export async function requireOwnStores(work: StoreWork): Promise<void> {
  const stores = await storesOf(work);
  if (stores.length === 0) return;
  const marker = await markerOf(work);
  // All before the first is marked: who is refused leaves nothing behind.
  const judged = await judgeAll(stores, marker);
  for (const { at, found } of judged) {
    if (found === null) await markFirst(at, marker);
    else if (found.kafkaCluster === null && marker.kafkaCluster !== null)
      await writeMarker(at.store, at.markerId, marker, { createOnly: false });
    await rememberMarkedStore(work.database, { manager: at.manager, markerId: at.markerId });
  }
}

/**
 * As {@link requireOwnStores}, marking nothing.
 * @returns how many stores there are
 */
export async function judgeStores(work: StoreWork): Promise<number> {
  const stores = await storesOf(work);
  if (stores.length === 0) return 0;
  await judgeAll(stores, await markerOf(work));
  return stores.length;
}

/**
 * Marks the stores anew with where this database is now: `doctor` was told that it has moved, or was restored.
 * @throws as {@link requireOwnStores}; STORE_OF_ANOTHER_INSTALLATION only for the stores of other installations
 */
export async function markStoresAnew(work: StoreWork): Promise<number> {
  const marker = await markerOf(work);
  const stores = await storesOf(work);
  for (const at of stores) {
    const found = await readMarker(at.store, at.markerId);
    if (found !== null && found.installation !== marker.installation)
      throw anotherInstallation(at, found, marker);
  }
  for (const { store, markerId, manager } of stores) {
    await writeMarker(store, markerId, marker, { createOnly: false });
    await rememberMarkedStore(work.database, { manager, markerId });
  }
  return stores.length;
}

/** What the store under the configured names remembers; null: nothing, or nothing is kept in a store. */
export async function readCurrentMarker(
  work: StoreWork,
): Promise<(StoreMarker & { readonly id: string }) | null> {
  const current = (await storesOf(work)).find(({ isCurrent }) => isCurrent);
  if (current === undefined) return null;
  const found = await readMarker(current.store, current.markerId);
  return found === null ? null : { ...found, id: current.markerId };
}

/** The active manager's store and those that still keep something, under the names of now and of before. */
async function storesOf({ config, database, identity, managers }: StoreWork): Promise<MarkedAt[]> {
  const { prefix, clusterName } = config.secretsManager;
  const remembered = await readMarkedStores(database);
  const names = new Set([identity.activeManager, ...(await database.run(managersInUse))]);
  const found: MarkedAt[] = [];
  for (const name of names) {
    const isActive = name === identity.activeManager;
    const manager = await managers.of(name).catch((error: unknown) => {
      // A former one that the settings do not do for any more: nothing can be written there.
      if (isActive || !(error instanceof ConfigurationError)) throw error;
      return null;
    });
    // What is in the memory of a process is worked on by nobody else.
    if (manager?.keeps !== 'store' || name === 'in-memory') continue;
    const now = markerIdOf(manager.idStyle, prefix, clusterName);
    const before = remembered.filter((one) => one.manager === name).map(({ markerId }) => markerId);
    for (const markerId of new Set([now, ...before]))
      found.push({ manager: name, markerId, store: manager.store, isCurrent: isActive && markerId === now });
  }
  return found;
}

async function markerOf({ config, identity, kafkaCluster }: StoreWork): Promise<StoreMarker> {
  return {
    installation: identity.installation.id,
    database: databasePlace(config.database.address),
    kafkaCluster: kafkaCluster === null ? null : await kafkaCluster(),
  };
}

interface Judged {
  readonly at: MarkedAt;
  readonly found: StoreMarker | null;
}

/** What each store remembers, none of it against us; without former ones that do not let us in any more. */
async function judgeAll(stores: readonly MarkedAt[], marker: StoreMarker): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const at of stores) {
    try {
      const found = await readMarker(at.store, at.markerId);
      if (found !== null) requireSame(at, found, marker);
      judged.push({ at, found });
    } catch (error) {
      const isDenied = error instanceof WorkerError && error.code === 'STORE_ACCESS';
      if (at.isCurrent || !isDenied) throw error;
    }
  }
  return judged;
}

async function markFirst(at: MarkedAt, marker: StoreMarker): Promise<void> {
  if (await writeMarker(at.store, at.markerId, marker, { createOnly: true })) return;
  // Somebody else was faster.
  const found = await readMarker(at.store, at.markerId);
  if (found !== null) requireSame(at, found, marker);
  else
    throw new ConfigurationError(
      'STORE_OF_ANOTHER_INSTALLATION',
      `${at.manager} has a secret ${at.markerId} that is not ours, where the store remembers who works on it`,
    );
}

function requireSame(at: MarkedAt, found: StoreMarker, marker: StoreMarker): void {
  if (found.installation !== marker.installation) throw anotherInstallation(at, found, marker);
  const different = differencesOf(found, marker);
  if (different.length > 0)
    throw new ConfigurationError(
      'STORE_OF_ANOTHER_INSTALLATION',
      `the store ${at.manager} is worked on by this installation from elsewhere (${at.markerId} tells): ` +
        `${different.join(' and ')} another one. Either this database has moved, or it is a copy of the one that is at work. ` +
        'Moved: `connection-secrets doctor --moved`; restored from a backup: `doctor --restored`; ' +
        'a copy: give it its own OPENMETADATA_CLUSTER_NAME, then `doctor --copied`',
    );
}

function differencesOf(found: Place, now: Place): string[] {
  const isKnown = found.kafkaCluster !== null && now.kafkaCluster !== null;
  return [
    ...(isKnown && found.kafkaCluster !== now.kafkaCluster ? ['the Kafka cluster is'] : []),
    ...(found.database === now.database ? [] : ['the database (DATABASE_URL) is']),
  ];
}

function anotherInstallation(at: MarkedAt, found: StoreMarker, marker: StoreMarker): ConfigurationError {
  return new ConfigurationError(
    'STORE_OF_ANOTHER_INSTALLATION',
    `the store ${at.manager} is worked on by the installation ${found.installation} (${at.markerId} tells), ` +
      `this database is of ${marker.installation}. Give this one its own OPENMETADATA_CLUSTER_NAME or SECRET_MANAGER_PREFIX; ` +
      `where the other one's database is lost and this one is built in its place: \`connection-secrets doctor --take-over ${found.installation}\``,
  );
}
