import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { openSecretsManager } from '../app.js';
import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { DatabaseLedger } from '../database/ledger.js';
import { openIdentity, type DatabaseIdentity } from '../database/settings.js';
import { managersInUse } from '../database/verify-pages.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { ownPrefixOf } from '../ids/index.js';
import { Janitor } from '../operations/janitor.js';
import type { Progress } from '../operations/progress.js';
import { Repairer } from '../operations/verify/repair.js';
import type { VerifyParts } from '../operations/verify/verify.js';
import { ClaimGuard } from '../pipeline/claim-guard.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import { WriteLimiter } from '../secrets-managers/write-limiter.js';
import type { ManagerName } from '../terms.js';

/** A request may still land this many claim times after its claim ran out. */
const LATE_REQUEST_CLAIMS = 4;

export interface VerifyOptions {
  readonly connectionId: string | null;
  readonly readsPerSecond: number;
  readonly progress: Progress;
}

export interface OpenedVerification {
  readonly parts: VerifyParts;
  readonly identity: DatabaseIdentity;
  close(): Promise<void>;
}

/**
 * Opens what a verification looks at, and makes nothing.
 * @throws ConfigurationError KEY_MISMATCH; CONFIG_INVALID before the first start
 */
export async function openVerification(
  config: Config<'keys'>,
  database: Database,
  { connectionId, readsPerSecond, progress }: VerifyOptions,
): Promise<OpenedVerification> {
  const identity = await openIdentity(database, config.keys.database);
  if (identity === null)
    throw new ConfigurationError('CONFIG_INVALID', 'there is nothing to verify: there was no first start');
  if (connectionId !== null) await requireConnection(database, connectionId);
  const names = new Set([identity.activeManager, ...(await database.run(managersInUse))]);
  const managers: SecretsManager[] = [];
  for (const name of names) managers.push(await openManager(config, name));
  const { idStyle, prefix, clusterName } = config.secretsManager;
  return {
    identity,
    parts: {
      database,
      connectionId,
      progress,
      ring: config.keys.database,
      fingerprintKey: identity.fingerprintKey,
      active: identity.activeManager,
      managers,
      ownPrefix: ownPrefixOf(idStyle, prefix, clusterName),
      gate: new WriteLimiter({ writesPerSecond: readsPerSecond }),
    },
    close: async () => {
      for (const { store } of managers) await store.close();
    },
  };
}

async function requireConnection(database: Database, id: string): Promise<void> {
  const isKnown = await database.run(({ manager, tables }) => manager.existsBy(tables.connection, { id }));
  if (!isKnown)
    throw new ConfigurationError('USAGE_INVALID', '--connection: there is no connection of that id');
}

async function openManager(config: Config<'keys'>, name: ManagerName): Promise<SecretsManager> {
  if (name === 'in-memory')
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'SECRET_MANAGER=in-memory keeps secrets in the memory of the worker: no other process can look at them',
    );
  const { localVaultFile } = config.secretsManager;
  // Opening would make it, and everything would be missing in it.
  if (name === 'local' && !existsSync(localVaultFile))
    throw new WorkerError('STORE_UNAVAILABLE', `the vault ${localVaultFile} does not exist`);
  return openSecretsManager(config, config.keys, {}, name);
}

/** One repairer for each manager that keeps secrets in a store. */
export function repairers(
  config: Config<'keys'>,
  { parts: { database, managers }, identity }: OpenedVerification,
): ReadonlyMap<ManagerName, Repairer> {
  const { claims, secretsManager, rules, keys } = config;
  const clock = (): number => performance.now();
  const { claimMs, storeTimeoutMs } = claims;
  const ledger = new DatabaseLedger(database, { claimMs, managerEpoch: identity.managerEpoch, clock });
  const gate = new WriteLimiter({ writesPerSecond: secretsManager.writesPerSecond });
  const guard = new ClaimGuard({ gate, ledger, clock, storeTimeoutMs });
  const graceMs = rules.deletionGraceSeconds * 1_000;
  return new Map(
    managers
      .filter(({ keeps }) => keeps === 'store')
      .map((manager) => {
        const janitor = new Janitor({
          ledger,
          managers: { of: () => Promise.resolve(manager) },
          guard,
          // Nothing is published from here: what there is, is published by a worker's relay.
          publisher: { publish: (claim) => ledger.settle([{ claim, sentIds: [] }]) },
          rules: { graceMs, lateRequestMs: claimMs * LATE_REQUEST_CLAIMS },
          tokenKey: identity.fingerprintKey,
          ring: keys.database,
        });
        const actor = `cli:${userInfo().username}`;
        const { fingerprintKey } = identity;
        return [
          manager.name,
          new Repairer({ manager, ledger, guard, janitor, fingerprintKey, graceMs, actor }),
        ];
      }),
  );
}
