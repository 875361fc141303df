import { missingStore, openSecretsManager } from '../worker/worker.js';
import { judgeStores, type StoreWork } from '../worker/installation.js';
import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { schemaStatus } from '../database/schema.js';
import { openIdentity, type DatabaseIdentity } from '../database/settings.js';
import { readClusterId } from '../kafka/admin.js';
import type { Logger } from '../observability/logger.js';
import { ManagerPool } from '../secrets-managers/pool.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import { attempt, NOT_STARTED, ok, skipped, type CheckResult } from './doctor-check.js';
import { missingDatabase, openForReading } from '../operations/open-database.js';

const CHECK = 'installation';

/** Runs `work` with the stores of this database, opened as its installation; closed afterwards. */
export async function withStores<T>(
  config: Config<'keys'>,
  logger: Logger,
  { database, identity }: { readonly database: Database; readonly identity: DatabaseIdentity },
  work: (stores: StoreWork) => Promise<T>,
): Promise<T> {
  const { kafka, claims } = config;
  const { installation } = identity;
  const managers = new ManagerPool((name) => openSecretsManager(config, config.keys, { installation }, name));
  const kafkaCluster = kafka === null ? null : () => readClusterId(kafkaSettings({ kafka, claims }), logger);
  try {
    return await work({ config, database, identity, managers, kafkaCluster });
  } finally {
    await managers.close();
  }
}

/** Whether the markers in the stores would let this database's workers start. Reads only. */
export async function checkInstallation(
  config: Config<'keys'>,
  logger: Logger,
): Promise<readonly CheckResult[]> {
  const nothing = (why: string): CheckResult[] => [skipped(CHECK, why)];
  if (missingDatabase(config) !== null) return nothing(NOT_STARTED);
  const missing = missingStore(config);
  if (missing !== null) return nothing(missing);
  return attempt(CHECK, () =>
    openForReading(config, async (database) => {
      const { pending, unknown } = await schemaStatus(database);
      const isCurrent = pending.length === 0 && unknown.length === 0;
      const identity = isCurrent ? await openIdentity(database, config.keys) : null;
      if (identity === null) return nothing(NOT_STARTED);
      return withStores(config, logger, { database, identity }, async (stores) => {
        const judged = await judgeStores(stores);
        return judged === 0
          ? nothing('no secret of this database is in a store')
          : [ok(CHECK, `${identity.installation.id}; no store has the marker of another one`)];
      });
    }),
  );
}
