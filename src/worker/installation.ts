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
import { providerOf } from '../secrets-managers/providers.js';

export interface StoreWork {
  readonly config: Pick<Config<'keys'>, 'database' | 'secretsManager'>;
  readonly database: Database;
  readonly identity: Pick<DatabaseIdentity, 'activeManager' | 'installation'>;
  readonly managers: ManagerSource;
  /** Asks the broker for its cluster id; null if this command does not use Kafka. */
  readonly kafkaCluster: (() => Promise<string>) | null;
}

interface MarkedAt extends MarkedStore {
  readonly store: SecretStore;
  /** Whether it is the active manager's store under its present name. We may no longer be allowed to read the others. */
  readonly isCurrent: boolean;
}

/**
 * Checks that this database may use its stores. A store remembers in a marker which installation uses it, and where that
 * runs. Otherwise a copy of the database (a restored dump, a staging system) would overwrite and delete the original's
 * secrets. Called once at start, before the first write. A store without a marker gets one.
 *
 * @throws ConfigurationError STORE_OF_ANOTHER_INSTALLATION
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS, BROKER_UNAVAILABLE
 */
export async function requireOwnStores(work: StoreWork): Promise<void> {
  const stores = await storesOf(work);
  if (stores.length === 0) return;
  const marker = await markerOf(work);
  // Judge all before the first write: a refused start leaves no marker behind.
  const judged = await judgeAll(stores, marker);
  for (const { at, found } of judged) {
    if (found === null) await markFirst(at, marker);
    else if (found.kafkaCluster === null && marker.kafkaCluster !== null)
      await writeMarker(at.store, at.markerId, marker, { createOnly: false });
    await rememberMarkedStore(work.database, { manager: at.manager, markerId: at.markerId });
  }
}

/**
 * As {@link requireOwnStores}, but writes no marker.
 * @returns the number of stores
 */
export async function judgeStores(work: StoreWork): Promise<number> {
  const stores = await storesOf(work);
  if (stores.length === 0) return 0;
  await judgeAll(stores, await markerOf(work));
  return stores.length;
}

/**
 * Writes new markers with the present place of this database: an operator told `doctor` that it was moved or restored.
 * @returns the number of stores
 * @throws as {@link requireOwnStores}; STORE_OF_ANOTHER_INSTALLATION only if a store belongs to another installation
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

/** The marker of the active manager's store; null if it has none, or if the manager has no store. */
export async function readCurrentMarker(
  work: StoreWork,
): Promise<(StoreMarker & { readonly id: string }) | null> {
  const current = (await storesOf(work)).find(({ isCurrent }) => isCurrent);
  if (current === undefined) return null;
  const found = await readMarker(current.store, current.markerId);
  return found === null ? null : { ...found, id: current.markerId };
}

/** The stores of the active manager and of all that still hold secrets, each under its present and former names. */
async function storesOf({ config, database, identity, managers }: StoreWork): Promise<MarkedAt[]> {
  const { prefix, clusterName } = config.secretsManager;
  const remembered = await readMarkedStores(database);
  const names = new Set([identity.activeManager, ...(await database.run(managersInUse))]);
  const found: MarkedAt[] = [];
  for (const name of names) {
    const isActive = name === identity.activeManager;
    const manager = await managers.of(name).catch((error: unknown) => {
      // The settings no longer open this former manager: nothing can be written there.
      if (isActive || !(error instanceof ConfigurationError)) throw error;
      return null;
    });
    // No other process can reach the memory of this one.
    if (manager?.keeps !== 'store' || !providerOf(name).isLasting) continue;
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

/** Reads and judges the marker of each store. Leaves out former stores that deny us access. */
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
  // Another process was faster.
  const found = await readMarker(at.store, at.markerId);
  if (found !== null) requireSame(at, found, marker);
  else
    throw new ConfigurationError(
      'STORE_OF_ANOTHER_INSTALLATION',
      `the store ${at.manager} has a secret ${at.markerId} that is not ours: the worker needs this name for its marker`,
    );
}

function requireSame(at: MarkedAt, found: StoreMarker, marker: StoreMarker): void {
  if (found.installation !== marker.installation) throw anotherInstallation(at, found, marker);
  const different = differencesOf(found, marker);
  if (different.length > 0)
    throw new ConfigurationError(
      'STORE_OF_ANOTHER_INSTALLATION',
      `the store ${at.manager} is used by this installation from another place (its marker: ${at.markerId}). ` +
        `Different here: ${different.join(', ')}. Either this database was moved, or it is a copy of the one in use. ` +
        'If it was moved, run `connection-secrets doctor --moved`; if it was restored from a backup, `doctor --restored`; ' +
        'if it is a copy, give it its own OPENMETADATA_CLUSTER_NAME, then run `doctor --copied`',
    );
}

function differencesOf(found: Place, now: Place): string[] {
  const isKnown = found.kafkaCluster !== null && now.kafkaCluster !== null;
  return [
    ...(isKnown && found.kafkaCluster !== now.kafkaCluster ? ['the Kafka cluster'] : []),
    ...(found.database === now.database ? [] : ['the database (DATABASE_URL)']),
  ];
}

function anotherInstallation(at: MarkedAt, found: StoreMarker, marker: StoreMarker): ConfigurationError {
  return new ConfigurationError(
    'STORE_OF_ANOTHER_INSTALLATION',
    `the store ${at.manager} is used by the installation ${found.installation} (its marker: ${at.markerId}), ` +
      `but this database belongs to ${marker.installation}. Give this one its own OPENMETADATA_CLUSTER_NAME or SECRET_MANAGER_PREFIX. ` +
      `If the other database is lost and this one replaces it, run \`connection-secrets doctor --take-over ${found.installation}\``,
  );
}
