import type { ManagerName } from '../terms.js';
import { NonManagedStore } from './non-managed/store.js';
import type { SecretsManager } from './port.js';
import { providerOf, type AnyManagerSettings } from './providers.js';
import { loaded } from './sdk.js';
import { SEALED_LIMITS, SealedStore } from './sealed/store.js';
import type { ManagerDeps } from './settings.js';

/**
 * Opens a secrets manager. Makes no call to a store; `local` makes its file where there is none. Close it by
 * `manager.store.close()`.
 *
 * @throws ConfigurationError CONFIG_INVALID where the provider's settings do not do, or a package of its is not installed
 */
export async function createSecretsManager(
  name: ManagerName,
  settings: AnyManagerSettings,
  deps: ManagerDeps,
): Promise<SecretsManager> {
  const provider = providerOf(name);
  const { name: word, capabilities, idStyle, managers } = provider;
  const { limits, location, store } = await loaded(provider.open(settings, deps), provider.packages);
  const common = { name, provider: word, capabilities, idStyle, location };
  if (store !== null && Object.entries(managers).some(([each, keeps]) => each === name && keeps === 'store'))
    return { ...common, keeps: 'store', limits, store };
  // Values stay with us: the limits are ours, the provider is the one that users' references are read from.
  const sealed = new SealedStore(deps.keys);
  return {
    ...common,
    keeps: 'database',
    limits: SEALED_LIMITS,
    store: store === null ? sealed : new NonManagedStore(word, sealed, store),
  };
}
