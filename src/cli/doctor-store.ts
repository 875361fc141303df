import { missingStore, openFieldFinder, openSecretsManager } from '../worker/worker.js';
import type { Config } from '../config.js';
import { checkStore } from '../secrets-managers/check-store.js';
import { attempt, ok, warned, type CheckResult } from './doctor-check.js';

/** Whether the store answers and permits a read: it reads a secret that does not exist. */
export async function checkSecretsStore(config: Config<'keys'>): Promise<CheckResult> {
  const check = `store ${config.secretsManager.name}`;
  const missing = missingStore(config);
  if (missing !== null) return warned(check, missing, 'Nothing before the first start, which makes it.');
  const [result] = await attempt(check, async () => {
    const manager = await openSecretsManager(config, config.keys);
    try {
      return ok(check, await checkStore(manager.store));
    } finally {
      await manager.store.close();
    }
  });
  return result ?? ok(check, 'reachable');
}

export async function checkCatalogue(config: Config<'keys'>): Promise<CheckResult> {
  const [result] = await attempt('catalogue', async () => {
    openFieldFinder(config);
    return ok('catalogue', config.rules.catalogFile ?? 'the one that ships');
  });
  return result ?? ok('catalogue', '');
}
