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
import type { ManagerSettings, StoreRequest } from '../secrets-managers/settings.js';
import type { Installation, ManagerName } from '../terms.js';
import type { Outlet } from '../transport.js';
import { Janitor, OURSELVES } from '../upkeep/janitor.js';
import { Mover } from '../upkeep/mover.js';
import { RestOfMigration } from '../upkeep/rest.js';
import { requireOwnStores } from './installation.js';
import { loadActiveIdentity, type ManagerChange } from './manager.js';
import { WriteLimits } from './write-limits.js';

/**
 * Records under way for each of `WORKER_CONCURRENCY`. With a store the others are claimed, committed or published
 * meanwhile: so few that a claim seldom runs out before its turn, however slow the store is; if it does, its turn renews
 * it. Without one they share transactions: sixteen alone would make sixteen times as many statements.
 */
const RECORDS_A_LANE = { store: 4, database: 32 };
/** Two transactions are under way at once, and neither takes more than 256. */
const RECORDS_OF_TWO_GROUPS = 512;
/** Connections moved at the same time, beside the events. */
const MIGRATION_LANES = 4;

export interface WorkerParts {
  readonly outlet: Outlet;
  readonly observer: PipelineObserver;
  /** Asks the broker which cluster it is of; null where Kafka takes no part in this. */
  readonly kafkaCluster: (() => Promise<string>) | null;
  readonly onStoreRequest?: (request: StoreRequest) => void;
  /** Default: by the configuration alone. */
  readonly managerChange?: ManagerChange;
  readonly onManagerChange?: (from: ManagerName, to: ManagerName) => void;
  /** Told once of each former manager that cannot be opened: its secrets are not looked after. */
  readonly onUnopened?: (name: ManagerName, error: ConfigurationError) => void;
  /** False: there is no broker; what is committed is published by the next worker. Default true. */
  readonly publishes?: boolean;
  /** Who moves connections, for the audit. */
  readonly actor?: string;
  /** What this run of `adopt` has decided; filled while it is open. Default: events decide by themselves. */
  readonly grants?: ReadonlySet<string>;
  /** The command that opens it, for the record of a change of manager. Default `start`. */
  readonly command?: string;
  /** Milliseconds that a statement waits for a row lock. Default: a worker's, who tries again later. */
  readonly lockWaitMs?: number;
  /** What stands in for the configured parts where nothing is to be changed. */
  readonly standIns?: StandIns;
}

export interface StandIns {
  /** Open, its schema up to date; closed with the worker. */
  readonly database: Database;
  openManager(name: ManagerName): Promise<SecretsManager>;
  openLedger(options: LedgerOptions): DatabaseLedger;
}

/** Everything that works on events, whatever they come by. */
export interface Worker {
  readonly database: Database;
  readonly identity: DatabaseIdentity;
  readonly manager: SecretsManager;
  readonly context: PlanContext;
  readonly pipeline: Pipeline;
  readonly relay: Relay;
  readonly janitor: Janitor;
  readonly ledger: Ledger;
  /** Opened as they are asked for. */
  readonly managers: ManagerSource;
  /** Moves single connections to the active manager. */
  readonly mover: Mover;
  /** Moves what is not kept in the active manager yet. */
  readonly migration: RestOfMigration;
  /** How many records may be under way at once: more than write to the store, so that these never wait for the database. */
  readonly recordsAtOnce: number;
  /** Removes all rows that are past their retention. */
  prune(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Puts the parts together: the only place that builds adapters for the pipeline. */
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
    // Stand-ins change nothing.
    const requireOwn = async (identity: Pick<DatabaseIdentity, 'activeManager' | 'installation'>) =>
      standIns === undefined
        ? requireOwnStores({ config, database, identity, managers, kafkaCluster: parts.kafkaCluster })
        : undefined;
    const loaded = await loadActiveIdentity(database, config, {
      change: parts.managerChange ?? 'configured',
      actor: parts.actor ?? operatorName(),
      changedBy: changedBy(parts.command ?? 'start'),
      requireUsable: async (activeManager, { installation }) => {
        await checkStore((await managers.of(activeManager)).store);
        await requireOwn({ activeManager, installation });
      },
      ...(parts.onManagerChange === undefined ? {} : { onChange: parts.onManagerChange }),
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
    const claiming = { ledger, ring: keys.outbox, clock, onUnpublished, groups };
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
      ...(parts.onUnopened === undefined ? {} : { onUnopened: parts.onUnopened }),
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

/** The database, its schema up to date (`DATABASE_MIGRATE=off`: refused where it is not). */
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

export interface OpenManagerOptions {
  readonly onThrottle?: () => void;
  readonly onRequest?: (request: StoreRequest) => void;
  /** Who writes; nobody where it is only read. */
  readonly installation?: Installation;
}

/** The configured secrets manager, or another one under the same settings. */
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

function managerSettings(config: Config<never>, name: ManagerName): ManagerSettings {
  const { aws, tags, requestTimeoutMs, localVaultFile, prefix, clusterName } = config.secretsManager;
  const endpointUrl = name.endsWith('-ssm') ? aws.ssmEndpoint : aws.secretsManagerEndpoint;
  return {
    ...(aws.region === null ? {} : { region: aws.region }),
    ...(aws.credentials ?? {}),
    ...(endpointUrl === null ? {} : { endpointUrl }),
    tags,
    ssmTier: aws.ssmTier,
    requestTimeoutMs,
    recoveryWindowDays: aws.recoveryWindowDays,
    forceDelete: aws.forceDelete,
    vaultFile: localVaultFile,
    checkId: `${ownPrefixOf(config.secretsManager.idStyle, prefix, clusterName)}connection-secrets`,
  };
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

/** What names of ours begin with under one manager, and began with before. */
export function ownNamesOf(
  config: Config<never>,
  { ownPrefixes }: Pick<DatabaseIdentity, 'ownPrefixes'>,
  manager: SecretsManager,
): OwnNames {
  const ownPrefix = ownPrefixOfConfig(config, manager);
  return { ownPrefix, ownPrefixes: [...new Set([ownPrefix, ...ownPrefixes])] };
}

/** What decisions depend on, under one manager. */
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
