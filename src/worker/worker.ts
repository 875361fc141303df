import {
  compileCatalogue,
  createFieldFinder,
  loadCatalogue,
  shippedCatalogue,
  type FieldFinder,
} from '../catalog/index.js';
import type { Config, KeyConfig } from '../config.js';
import { Database } from '../database/database.js';
import { DatabaseLedger, type LedgerOptions } from '../database/ledger.js';
import { rememberOwnPrefix, type RefersToOwn } from '../database/own-prefixes.js';
import { pruneOldRows } from '../database/retention.js';
import { migrateSchema, requireCurrentSchema } from '../database/schema.js';
import { loadIdentity, type DatabaseIdentity } from '../database/settings.js';
import type { ConfigurationError, WorkerError } from '../errors.js';
import { cleanSegment, createSecretIdBuilder, ownPrefixOf } from '../ids/index.js';
import { changedBy, operatorName } from '../operator.js';
import { ClaimGuard, LATE_REQUEST_CLAIMS } from '../pipeline/claim.js';
import type { ManagerSource, PlanContext } from '../pipeline/context.js';
import { EventProcessor } from '../pipeline/event-processor.js';
import { Lanes } from '../pipeline/group.js';
import type { Ledger } from '../pipeline/ledger.js';
import type { PipelineObserver } from '../pipeline/observer.js';
import { Pipeline } from '../pipeline/pipeline.js';
import { refersToAny, type OwnNames } from '../pipeline/reference-refusals.js';
import { Relay } from '../pipeline/relay.js';
import { UndecodableProcessor } from '../pipeline/undecodable.js';
import { UnderClaim } from '../pipeline/under-claim.js';
import { checkStore } from '../secrets-managers/check-store.js';
import { ManagerPool } from '../secrets-managers/pool.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import { createSecretsManager } from '../secrets-managers/registry.js';
import { providerOf, type AnyManagerSettings } from '../secrets-managers/providers.js';
import type { StoreRequest } from '../secrets-managers/settings.js';
import type { Installation, ManagerName } from '../terms.js';
import type { Outlet } from '../transport.js';
import { Janitor, OURSELVES } from '../upkeep/janitor.js';
import { Mover } from '../upkeep/mover.js';
import { RestOfMigration } from '../upkeep/rest.js';
import { requireOwnStores } from './installation.js';
import { loadActiveIdentity, type ManagerChange } from './manager.js';
import { WriteLimits } from './write-limits.js';

/**
 * Records in flight for each of `WORKER_CONCURRENCY`. With a store, one writes while the others are claimed, committed or
 * published: few, so that a claim seldom expires before its turn (if it does, its turn renews it). Without a store, many
 * records share a transaction: fewer statements.
 */
const RECORDS_A_LANE = { store: 4, database: 32 };
/** Two transactions run at once, and each takes at most 256 records. */
const RECORDS_OF_TWO_GROUPS = 512;
/** Connections moved at the same time, beside the events. */
const MIGRATION_LANES = 4;

interface WorkerParts {
  readonly outlet: Outlet;
  readonly observer: PipelineObserver;
  /** Asks the broker for its cluster id; null if this command does not use Kafka. */
  readonly kafkaCluster: (() => Promise<string>) | null;
  readonly onStoreRequest?: (request: StoreRequest) => void;
  /** Default `configured`. */
  readonly managerChange?: ManagerChange;
  readonly onManagerChange?: (from: ManagerName, to: ManagerName) => void;
  /** Called once for each former manager that cannot be opened: the janitor leaves its secrets as they are. */
  readonly onUnopened?: (name: ManagerName, error: ConfigurationError) => void;
  /** False if there is no broker: the next worker publishes what this one commits. Default true. */
  readonly publishes?: boolean;
  /** Who moves connections, for the audit. */
  readonly actor?: string;
  /** The decisions of this run of `adopt`, filled while it runs. Default: events decide themselves. */
  readonly grants?: ReadonlySet<string>;
  /** The command that opens this worker, for the record of a change of manager. Default `start`. */
  readonly command?: string;
  /** Milliseconds that a statement waits for a row lock. Default: short, because a worker tries again later. */
  readonly lockWaitMs?: number;
  /** They replace configured parts in a dry run, which must change nothing. */
  readonly standIns?: StandIns;
}

interface StandIns {
  /** Open, with the current schema. The worker closes it. */
  readonly database: Database;
  openManager(name: ManagerName): Promise<SecretsManager>;
  openLedger(options: LedgerOptions): DatabaseLedger;
}

/** The parts that handle events, from Kafka or from a pipe. */
export interface Worker {
  readonly database: Database;
  readonly identity: DatabaseIdentity;
  readonly manager: SecretsManager;
  readonly context: PlanContext;
  readonly pipeline: Pipeline;
  readonly relay: Relay;
  readonly janitor: Janitor;
  readonly ledger: Ledger;
  /** Opens a manager when it is first used. */
  readonly managers: ManagerSource;
  /** Moves single connections to the active manager. */
  readonly mover: Mover;
  /** Moves all connections that are not in the active manager yet. */
  readonly migration: RestOfMigration;
  /** Limit of records in flight: more than write to the store, so that these never wait for the database. */
  readonly recordsAtOnce: number;
  /** Removes all rows that are past their retention. */
  prune(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Builds a worker. No other place builds the adapters of the pipeline. */
export async function openWorker(config: Config<'keys'>, parts: WorkerParts): Promise<Worker> {
  const { keys, claims, secretsManager } = config;
  const { standIns } = parts;
  const database = standIns?.database ?? (await openMigratedDatabase(config, parts.lockWaitMs));
  const limits = new WriteLimits({
    database,
    writesPerSecond: secretsManager.writesPerSecond,
    onFailure: (error) => parts.observer.limitUnshared?.(error),
  });
  const managers = new ManagerPool(async (name) => {
    if (standIns !== undefined) return standIns.openManager(name);
    const { installation } = await loadIdentity(database, keys, secretsManager.name);
    const hooks = {
      onThrottle: () => {
        limits.of(name).throttled();
      },
      ...(parts.onStoreRequest === undefined ? {} : { onRequest: parts.onStoreRequest }),
    };
    return openSecretsManager(config, keys, { ...hooks, installation }, name);
  });
  const close = async (): Promise<void> => {
    await limits.close();
    await managers.close();
    await database.close();
  };
  try {
    // A dry run writes no marker.
    const requireOwn = async (identity: Pick<DatabaseIdentity, 'activeManager' | 'installation'>) =>
      standIns === undefined
        ? requireOwnStores({ config, database, identity, managers, kafkaCluster: parts.kafkaCluster })
        : undefined;
    const loaded = await loadActiveIdentity(database, config, {
      change: parts.managerChange ?? 'configured',
      actor: parts.actor ?? operatorName(config),
      changedBy: changedBy(config, parts.command ?? 'start'),
      requireUsable: async (activeManager, { installation }) => {
        await checkStore((await managers.of(activeManager)).store);
        await requireOwn({ activeManager, installation });
      },
      onChange: parts.onManagerChange,
    });
    await requireOwn(loaded);
    const manager = await managers.of(secretsManager.name);
    const ownPrefix = ownPrefixOfConfig(config, manager);
    const refersToOwn: RefersToOwn = (connection, references, prefixes) =>
      refersToAny(connection, references, prefixes, keys.database);
    const identity = { ...loaded, ...(await rememberOwnPrefix(database, ownPrefix, loaded, refersToOwn)) };
    const clock = (): number => performance.now();
    const context = planContext(config, manager, identity, parts.outlet, parts.grants);
    const { claimMs } = claims;
    const ledgerOptions: LedgerOptions = {
      ...{ claimMs, managerEpoch: identity.managerEpoch, clock },
      onDeadLetters: (letters) => parts.observer.deadLettersMade?.(letters),
    };
    const ledger = standIns?.openLedger(ledgerOptions) ?? new DatabaseLedger(database, ledgerOptions);
    const guard = new ClaimGuard({
      gateOf: (name) => limits.of(name),
      ...{ ledger, clock, storeTimeoutMs: claims.storeTimeoutMs },
    });
    const onUnpublished = (error: WorkerError): void => parts.observer.unpublished?.(error);
    const lanes = new Lanes();
    const groups = { underWay: () => lanes.size, lines: database.dialect === 'sqlite' ? 1 : 2 };
    const { outlet } = parts;
    const claiming = { ledger, context, clock, onUnpublished, groups };
    const underClaim = new UnderClaim({ ...claiming, outlet });
    const processor = new EventProcessor({
      ...{ context, managers, underClaim, guard, clock },
      storeLanes: config.worker.concurrency,
    });
    const mover = new Mover({
      ...{ context, managers, guard, clock },
      underClaim: parts.publishes === false ? new UnderClaim({ ...claiming, outlet: null }) : underClaim,
      actor: parts.actor ?? OURSELVES,
    });
    const janitor = new Janitor({
      ...{ ledger, underClaim, managers, guard },
      rules: context.rules,
      tokenKey: identity.fingerprintKey,
      ring: keys.outbox,
      onUnopened: parts.onUnopened,
    });
    const pipeline = new Pipeline({
      topics: config.topics,
      clockSkewMs: config.rules.clockSkewSeconds * 1_000,
      context,
      ledger,
      processor,
      undecodable: new UndecodableProcessor(context, ledger, outlet, underClaim),
      observer: parts.observer,
      lanes,
      clock,
      now: Date.now,
    });
    return {
      database,
      identity,
      manager,
      context,
      pipeline,
      relay: new Relay({ ledger, underClaim, outlet, context, onUnpublished }),
      janitor,
      ledger,
      managers,
      mover,
      migration: new RestOfMigration({
        database,
        ledger,
        mover,
        active: manager.name,
        concurrency: MIGRATION_LANES,
        clock,
      }),
      recordsAtOnce:
        manager.keeps === 'store'
          ? config.worker.concurrency * RECORDS_A_LANE.store
          : Math.max(
              config.worker.concurrency,
              Math.min(config.worker.concurrency * RECORDS_A_LANE.database, RECORDS_OF_TWO_GROUPS),
            ),
      prune: (signal) => pruneOldRows(database, config.database, signal),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens the database and migrates its schema; with `DATABASE_MIGRATE=off` it refuses an old schema instead. */
export async function openMigratedDatabase(config: Config<never>, lockWaitMs?: number): Promise<Database> {
  const { address, poolSize, migrate } = config.database;
  const database = await Database.open({ address, poolSize }, { access: 'write', lockWaitMs });
  try {
    if (migrate === 'auto') await migrateSchema(database);
    else await requireCurrentSchema(database);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

interface OpenManagerOptions {
  readonly onThrottle?: () => void;
  readonly onRequest?: (request: StoreRequest) => void;
  /** The installation that writes; left out if the manager only reads. */
  readonly installation?: Installation;
}

/** Opens the configured secrets manager, or another one with the same settings. */
export function openSecretsManager(
  config: Config<never>,
  keys: Pick<KeyConfig, 'database'>,
  { installation, ...hooks }: OpenManagerOptions = {},
  name: ManagerName = config.secretsManager.name,
): Promise<SecretsManager> {
  const settings = {
    ...managerSettings(config, name),
    ...(installation === undefined ? {} : { installation }),
  };
  return createSecretsManager(name, settings, { keys: keys.database, ...hooks });
}

function managerSettings(config: Config<never>, name: ManagerName): AnyManagerSettings {
  const { values, tags, requestTimeoutMs, prefix, clusterName } = config.secretsManager;
  const { address } = config.database;
  return {
    values,
    databaseFile: address.type === 'sqlite' ? address.file : null,
    tags,
    requestTimeoutMs,
    checkId: `${ownPrefixOf(providerOf(name).idStyle, prefix, clusterName)}connection-secrets`,
  };
}

/** Why a manager has no store to look at yet, where opening would make it; null: it can be opened. */
export function missingStore(
  config: Config<never>,
  name: ManagerName = config.secretsManager.name,
): string | null {
  return providerOf(name).missing?.(managerSettings(config, name)) ?? null;
}

export function openFieldFinder(config: Config<never>): FieldFinder {
  const { catalogFile, secretByName, unknownConnector, extraPaths, excludedPaths } = config.rules;
  const catalogue = catalogFile === null ? shippedCatalogue() : loadCatalogue(catalogFile);
  return createFieldFinder({
    catalogue: compileCatalogue(catalogue, {
      byName: secretByName,
      unknownConnector,
      extraPaths: extraPaths.map(({ connector, path }) => `${connector}:${path}`),
      excludedPaths: excludedPaths.map(({ connector, path }) => `${connector}:${path}`),
    }),
    cleanSegment: (text) => cleanSegment(config.secretsManager.idStyle, text),
  });
}

function ownPrefixOfConfig({ secretsManager }: Config<never>, { idStyle }: SecretsManager): string {
  return ownPrefixOf(idStyle, secretsManager.prefix, secretsManager.clusterName);
}

/** The present prefix of our secret ids under one manager, and all former ones. */
export function ownNamesOf(
  config: Config<never>,
  { ownPrefixes }: Pick<DatabaseIdentity, 'ownPrefixes'>,
  manager: SecretsManager,
): OwnNames {
  const ownPrefix = ownPrefixOfConfig(config, manager);
  return { ownPrefix, ownPrefixes: [...new Set([ownPrefix, ...ownPrefixes])] };
}

/** What the decisions about events under one manager depend on. */
export function planContext(
  config: Config<'keys'>,
  manager: SecretsManager,
  identity: DatabaseIdentity,
  outlet: Outlet,
  grants: ReadonlySet<string> | null = null,
): PlanContext {
  const { secretsManager, rules, secured, claims } = config;
  return {
    manager,
    ids: createSecretIdBuilder({
      idStyle: manager.idStyle,
      strict: secretsManager.strictIds,
      prefix: secretsManager.prefix,
      cluster: secretsManager.clusterName,
      formerPrefixes: identity.ownPrefixes,
      maxIdLength: manager.limits.maxIdLength,
      ...(manager.limits.maxIdLevels === undefined ? {} : { maxIdLevels: manager.limits.maxIdLevels }),
    }),
    fields: openFieldFinder(config),
    rings: config.keys,
    fingerprintKey: identity.fingerprintKey,
    generation: identity.generation,
    rules: {
      adopt: secretsManager.adopt || grants !== null,
      grants,
      sourceValues: rules.sourceValues,
      maskedSecretOnNewEndpoint: rules.maskedSecretOnNewEndpoint,
      secretQuoted: rules.secretQuoted,
      allowedReferencePrefixes: rules.allowedReferencePrefixes ?? [],
      publisherTokens: rules.publisherTokens,
      graceMs: rules.deletionGraceSeconds * 1_000,
      waitMs: rules.waitSeconds * 1_000,
      lateRequestMs: claims.claimMs * LATE_REQUEST_CLAIMS,
    },
    output: {
      references: secured.references,
      format: secured.format,
      maxRecordBytes: (stream) => outlet.maxRecordBytes(stream),
    },
  };
}
