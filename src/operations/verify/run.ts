import { missingStore, openSecretsManager } from '../../worker/worker.js';
import { requireOwnStores } from '../../worker/installation.js';
import { WriteLimits } from '../../worker/write-limits.js';
import type { Config } from '../../config.js';
import type { Database } from '../../database/database.js';
import { DatabaseLedger } from '../../database/ledger.js';
import { rememberAllTagged } from '../../database/installation.js';
import type { DatabaseIdentity } from '../../database/settings.js';
import { managersInUse } from '../../database/verify-pages.js';
import { ConfigurationError, WorkerError } from '../../errors.js';
import { ownPrefixOf } from '../../ids/index.js';
import { Janitor } from '../../upkeep/janitor.js';
import { readDatabase, requireConnections, requireIdentity, writeDatabase } from '../open-database.js';
import type { Progress } from '../progress.js';
import { securedContexts } from '../secured-contexts.js';
import { Repairer, type RepairWish } from './repair.js';
import { areAllTagged, repairAll } from './repair-all.js';
import { Verification, type VerifyParts, type VerifyReport } from './verify.js';
import { operatorName } from '../../operator.js';
import { ClaimGuard, LATE_REQUEST_CLAIMS } from '../../pipeline/claim.js';
import { UnderClaim } from '../../pipeline/under-claim.js';
import type { DeadLetterHead } from '../../pipeline/ledger.js';
import type { SecretsManager } from '../../secrets-managers/port.js';
import { providerOf } from '../../secrets-managers/providers.js';
import { WriteLimiter } from '../../secrets-managers/write-limiter.js';
import type { ManagerName } from '../../terms.js';

interface VerifyOptions {
  readonly config: Config<'keys'>;
  /** Only this one; null: all. */
  readonly connectionId: string | null;
  readonly readsPerSecond: number;
  /** Null: repair nothing, so a worker may run on the same SQLite file. */
  readonly wish: RepairWish | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** `deadLetters`: those that the repair made. */
export type VerifyRunReport = VerifyReport & { readonly deadLetters: readonly DeadLetterHead[] };

/** The report of a run that was stopped before it had looked at anything. */
const NOTHING: VerifyRunReport = {
  checked: { connections: 0, secrets: 0, external: 0, listed: 0 },
  skipped: { busy: 0, inDoubt: 0, unknownConnections: 0, otherInstallations: 0 },
  findings: [],
  interrupted: true,
  deadLetters: [],
};

/** Compares the database with the stores, and repairs what the operator wishes. */
export async function runVerification(options: VerifyOptions): Promise<VerifyRunReport> {
  const { config, wish, signal } = options;
  const open = wish === null ? readDatabase : writeDatabase;
  return open(config, async (database) => {
    try {
      const opened = await openVerification(options, database);
      try {
        if (wish !== null) await opened.requireOwnStores();
        const report = await new Verification(opened.parts, signal).run();
        if (wish === null) return { ...report, deadLetters: [] };
        const deadLetters = await repair(report, options, opened, wish);
        return { ...report, interrupted: signal.aborted, deadLetters };
      } finally {
        await opened.close();
      }
    } catch (error) {
      if (signal.aborted) return NOTHING;
      throw error;
    }
  });
}

async function repair(
  report: VerifyReport,
  { config, connectionId, signal }: VerifyOptions,
  opened: OpenedVerification,
  wish: RepairWish,
): Promise<readonly DeadLetterHead[]> {
  const deadLetters: DeadLetterHead[] = [];
  const contexts = securedContexts(config, opened.identity);
  try {
    const byManager = await repairers(
      config,
      opened,
      contexts,
      (letters) => void deadLetters.push(...letters),
    );
    await repairAll(report, byManager, wish, signal);
  } finally {
    await contexts.close();
  }
  if (connectionId === null && areAllTagged(report)) await rememberAllTagged(opened.parts.database);
  return deadLetters;
}

interface OpenedVerification {
  readonly parts: VerifyParts;
  readonly identity: DatabaseIdentity;
  /** The limits for the writes of repairs. */
  readonly limits: WriteLimits;
  /** Call it before the first repair. @throws ConfigurationError STORE_OF_ANOTHER_INSTALLATION */
  requireOwnStores(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the stores to look at. Makes nothing.
 * @throws ConfigurationError KEY_MISMATCH; CONFIG_INVALID before the first start
 */
async function openVerification(
  { config, connectionId, readsPerSecond, progress }: VerifyOptions,
  database: Database,
): Promise<OpenedVerification> {
  const identity = await requireIdentity(database, config.keys);
  if (connectionId !== null) await requireConnections(database, [connectionId]);
  const names = new Set([identity.activeManager, ...(await database.run(managersInUse))]);
  const { writesPerSecond } = config.secretsManager;
  const limits = new WriteLimits({ database, writesPerSecond });
  const open = (name: ManagerName): Promise<SecretsManager> =>
    openManager(config, identity, name, () => limits.of(name).throttled());
  const managers: SecretsManager[] = [];
  for (const name of names) managers.push(await open(name));
  const { idStyle, prefix, clusterName } = config.secretsManager;
  const ownPrefix = ownPrefixOf(idStyle, prefix, clusterName);
  return {
    identity,
    limits,
    requireOwnStores: () =>
      requireOwnStores({
        config,
        database,
        identity,
        managers: {
          of: (name) => {
            const manager = managers.find((one) => one.name === name);
            return manager === undefined ? open(name) : Promise.resolve(manager);
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
      await limits.close();
      for (const { store } of managers) await store.close();
    },
  };
}

async function openManager(
  config: Config<'keys'>,
  { installation }: DatabaseIdentity,
  name: ManagerName,
  onThrottle: () => void,
): Promise<SecretsManager> {
  if (!providerOf(name).isLasting)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `SECRET_MANAGER=${name} stores secrets in the memory of the worker, where no other process can look at them`,
    );
  // Opening it would make an empty one, and every secret would count as missing.
  const missing = missingStore(config, name);
  if (missing !== null) throw new WorkerError('STORE_UNAVAILABLE', missing);
  return openSecretsManager(config, config.keys, { installation, onThrottle }, name);
}

/** One repairer for each manager that stores its secrets outside of the database. */
async function repairers(
  config: Config<'keys'>,
  { parts: { database, managers }, identity, limits }: OpenedVerification,
  contexts: ReturnType<typeof securedContexts>,
  onDeadLetters: (letters: readonly DeadLetterHead[]) => void,
): Promise<ReadonlyMap<ManagerName, Repairer>> {
  const { claims, rules, keys } = config;
  const clock = (): number => performance.now();
  const { claimMs, storeTimeoutMs } = claims;
  const ledger = new DatabaseLedger(database, {
    ...{ claimMs, managerEpoch: identity.managerEpoch, clock, onDeadLetters },
  });
  const guard = new ClaimGuard({ gateOf: (name) => limits.of(name), ledger, clock, storeTimeoutMs });
  const context = await contexts.of(identity.activeManager);
  const underClaim = new UnderClaim({ ledger, outlet: null, context, clock });
  const graceMs = rules.deletionGraceSeconds * 1_000;
  const actor = operatorName(config);
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
