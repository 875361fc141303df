import { openSecretsManager, ownNamesOf } from '../worker/worker.js';
import type { Config } from '../config.js';
import type { DatabaseIdentity } from '../database/settings.js';
import type { SecuredContext } from '../pipeline/outbox.js';
import type { ManagerName } from '../terms.js';

/** The contexts of secured events, one for each manager. It opens a store only for its name and region. */
export function securedContexts(config: Config<'keys'>, identity: DatabaseIdentity) {
  const opened = new Map<ManagerName, Promise<SecuredContext>>();
  const closers: (() => Promise<void>)[] = [];
  const open = async (name: ManagerName): Promise<SecuredContext> => {
    const manager = await openSecretsManager(config, config.keys, {}, name);
    closers.push(() => manager.store.close());
    const { references, format } = config.secured;
    return {
      manager,
      generation: identity.generation,
      rings: config.keys,
      ids: ownNamesOf(config, identity, manager),
      fingerprintKey: identity.fingerprintKey,
      output: { references, format },
    };
  };
  return {
    of: (name: ManagerName): Promise<SecuredContext> => {
      const context = opened.get(name) ?? open(name);
      opened.set(name, context);
      return context;
    },
    close: async (): Promise<void> => {
      for (const close of closers) await close();
    },
  };
}
