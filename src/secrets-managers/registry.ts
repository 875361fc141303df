import type { ManagerName } from '../terms.js';
import { IN_MEMORY_LIMITS, InMemoryStore } from './in-memory/store.js';
import { Ownership } from './ownership.js';
import { NonManagedStore } from './non-managed/store.js';
import { SEALED_LIMITS, SealedStore } from './sealed/store.js';
import type { SecretsManager, SecretStore, StoreLimits } from './port.js';
import { AWS_PACKAGES, loaded } from './sdk.js';
import type { ManagerDeps, ManagerSettings } from './settings.js';

/** An opened AWS store with what the manager tells of it. */
interface OpenedStore {
  readonly provider: string;
  readonly region: string;
  readonly limits: StoreLimits;
  readonly store: SecretStore;
}

/** Waiting for the vault holds the whole thread. */
const BUSY_TIMEOUT_MS = 1_000;

type Open = (settings: ManagerSettings, deps: ManagerDeps) => Promise<SecretsManager>;

/** SDKs and drivers are loaded by the manager that needs them: nobody pays for what he does not use. */
const openSecretsManager = async (settings: ManagerSettings, deps: ManagerDeps): Promise<OpenedStore> => {
  const [{ openSecretsManagerStore, SECRETS_MANAGER_PROVIDER }, { SECRETS_MANAGER_LIMITS }] = await loaded(
    Promise.all([import('./aws-secrets-manager/open.js'), import('./aws-secrets-manager/limits.js')]),
    ['@aws-sdk/client-secrets-manager', ...AWS_PACKAGES],
  );
  const opened = await openSecretsManagerStore(settings, deps);
  return { ...opened, provider: SECRETS_MANAGER_PROVIDER, limits: SECRETS_MANAGER_LIMITS };
};

const openSsm = async (settings: ManagerSettings, deps: ManagerDeps): Promise<OpenedStore> => {
  const [{ openSsmStore, SSM_PROVIDER }, { ssmLimits }] = await loaded(
    Promise.all([import('./aws-ssm/open.js'), import('./aws-ssm/limits.js')]),
    ['@aws-sdk/client-ssm', ...AWS_PACKAGES],
  );
  const opened = await openSsmStore(settings, deps);
  return { ...opened, provider: SSM_PROVIDER, limits: ssmLimits(settings.ssmTier) };
};

function managed(
  name: ManagerName,
  open: (settings: ManagerSettings, deps: ManagerDeps) => Promise<OpenedStore>,
): Open {
  return async (settings, deps) => ({
    name,
    keeps: 'store',
    idStyle: 'slash',
    ...(await open(settings, deps)),
  });
}

/** Values stay with us: the limits are ours, the provider is the one that users' references are read from. */
function nonManaged(
  name: ManagerName,
  open: (settings: ManagerSettings, deps: ManagerDeps) => Promise<OpenedStore>,
): Open {
  return async (settings, deps) => {
    const { provider, region, store } = await open(settings, deps);
    return {
      name,
      provider,
      region,
      keeps: 'database',
      idStyle: 'slash',
      limits: SEALED_LIMITS,
      store: new NonManagedStore(provider, new SealedStore(deps.keys), store),
    };
  };
}

const openDb: Open = (_settings, deps) =>
  Promise.resolve({
    name: 'db',
    provider: 'db',
    keeps: 'database',
    idStyle: 'slash',
    limits: SEALED_LIMITS,
    store: new SealedStore(deps.keys),
  });

const openInMemory: Open = (settings) =>
  Promise.resolve({
    name: 'in-memory',
    provider: 'in-memory',
    keeps: 'store',
    idStyle: 'slash',
    limits: IN_MEMORY_LIMITS,
    store: new InMemoryStore(new Ownership(settings)),
  });

const openLocal: Open = async (settings, deps) => {
  const { openLocalStore, LOCAL_LIMITS } = await loaded(import('./local/store.js'), ['better-sqlite3']);
  return {
    name: 'local',
    provider: 'local',
    keeps: 'store',
    idStyle: 'slash',
    limits: LOCAL_LIMITS,
    store: openLocalStore(
      settings.vaultFile,
      deps.keys,
      Math.min(settings.requestTimeoutMs, BUSY_TIMEOUT_MS),
      new Ownership(settings),
    ),
  };
};

const OPENERS: Readonly<Record<ManagerName, Open>> = {
  db: openDb,
  'in-memory': openInMemory,
  local: openLocal,
  'managed-aws': managed('managed-aws', openSecretsManager),
  aws: nonManaged('aws', openSecretsManager),
  'managed-aws-ssm': managed('managed-aws-ssm', openSsm),
  'aws-ssm': nonManaged('aws-ssm', openSsm),
};

/**
 * Opens the configured secrets manager. Makes no call to a cloud store; `local` makes its file where there is none.
 * Close it by `manager.store.close()`.
 *
 * @throws ConfigurationError CONFIG_INVALID without an AWS region, or for a vault file that cannot be opened
 */
export function createSecretsManager(
  name: ManagerName,
  settings: ManagerSettings,
  deps: ManagerDeps,
): Promise<SecretsManager> {
  return OPENERS[name](settings, deps);
}
