import { existsSync } from 'node:fs';
import { openSecretsManager } from '../app.js';
import { requireOwnStores } from '../app-installation.js';
import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { DatabaseLedger } from '../database/ledger.js';
import { openIdentity, type DatabaseIdentity } from '../database/settings.js';
import { managersInUse } from '../database/verify-pages.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { ownPrefixOf } from '../ids/index.js';
import { Janitor } from '../upkeep/janitor.js';
import type { Progress } from '../operations/progress.js';
import type { securedContexts } from '../operations/secured-contexts.js';
import { Repairer } from '../operations/verify/repair.js';
import type { VerifyParts } from '../operations/verify/verify.js';
import { operatorName } from '../operator.js';
import { ClaimGuard } from '../pipeline/claim-guard.js';
import { UnderClaim } from '../pipeline/under-claim.js';
import { LATE_REQUEST_CLAIMS } from '../pipeline/claim.js';
import type { DeadLetterHead } from '../pipeline/ledger.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import { WriteLimiter } from '../secrets-managers/write-limiter.js';
import type { ManagerName } from '../terms.js';

export interface VerifyOptions {
  readonly connectionId: string | null;
  readonly readsPerSecond: number;
  readonly progress: Progress;
}

export interface OpenedVerification {
  readonly parts: VerifyParts;
  readonly identity: DatabaseIdentity;
  /** Before anything is repaired. @throws ConfigurationError STORE_OF_ANOTHER_INSTALLATION */
  requireOwnStores(): Promise<void>;
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
  const identity = await openIdentity(database, config.keys);
  if (identity === null)
    throw new ConfigurationError('CONFIG_INVALID', 'there is nothing to verify: there was no first start');
  if (connectionId !== null) await requireConnection(database, connectionId);
  const names = new Set([identity.activeManager, ...(await database.run(managersInUse))]);
  const managers: SecretsManager[] = [];
  for (const name of names) managers.push(await openManager(config, identity, name));
  const { idStyle, prefix, clusterName } = config.secretsManager;
  const ownPrefix = ownPrefixOf(idStyle, prefix, clusterName);
  return {
    identity,
    requireOwnStores: () =>
      requireOwnStores({
        config,
        database,
        identity,
        managers: {
          of: (name) => {
            const manager = managers.find((one) => one.name === name);
            return manager === undefined ? openManager(config, identity, name) : Promise.resolve(manager);
          },
        },
        kafkaCluster: null,
      }),
    parts: {
      database,
      connectionId,
      progress,
      ring: config.keys.database,
      fingerprintKey: identity.fingerprintKey,
      hasDigests: identity.hasDigests,
      active: identity.activeManager,
      managers,
      ids: { ownPrefix, ownPrefixes: [...new Set([ownPrefix, ...identity.ownPrefixes])] },
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

async function openManager(
  config: Config<'keys'>,
  { installation }: DatabaseIdentity,
  name: ManagerName,
): Promise<SecretsManager> {
  if (name === 'in-memory')
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'SECRET_MANAGER=in-memory keeps secrets in the memory of the worker: no other process can look at them',
    );
  const { localVaultFile } = config.secretsManager;
  // Opening would make it, and everything would be missing in it.
  if (name === 'local' && !existsSync(localVaultFile))
    throw new WorkerError('STORE_UNAVAILABLE', `the vault ${localVaultFile} does not exist`);
  return openSecretsManager(config, config.keys, { installation }, name);
}

/** One repairer for each manager that keeps secrets in a store. */
export function repairers(
  config: Config<'keys'>,
  { parts: { database, managers }, identity }: OpenedVerification,
  contexts: Pick<ReturnType<typeof securedContexts>, 'of'>,
  onDeadLetters: (letters: readonly DeadLetterHead[]) => void,
): ReadonlyMap<ManagerName, Repairer> {
  const { claims, secretsManager, rules, keys } = config;
  const clock = (): number => performance.now();
  const { claimMs, storeTimeoutMs } = claims;
  const ledger = new DatabaseLedger(database, {
    ...{ claimMs, managerEpoch: identity.managerEpoch, clock, onDeadLetters },
  });
  const gate = new WriteLimiter({ writesPerSecond: secretsManager.writesPerSecond });
  const guard = new ClaimGuard({ gate, ledger, clock, storeTimeoutMs });
  const underClaim = new UnderClaim({ ledger, outlet: null, ring: keys.outbox, clock });
  const graceMs = rules.deletionGraceSeconds * 1_000;
  const actor = operatorName();
  return new Map(
    managers
      .filter(({ keeps }) => keeps === 'store')
      .map((manager) => {
        const janitor = new Janitor({
          ledger,
          managers: { of: () => Promise.resolve(manager) },
          guard,
          underClaim,
          rules: { graceMs, lateRequestMs: claimMs * LATE_REQUEST_CLAIMS },
          tokenKey: identity.fingerprintKey,
          ring: keys.database,
          actor,
        });
        const { fingerprintKey } = identity;
        const repairer = new Repairer({
          manager,
          underClaim,
          guard,
          janitor,
          fingerprintKey,
          graceMs,
          securedContext: () => contexts.of(manager.name),
          actor,
        });
        return [manager.name, repairer];
      }),
  );
}
