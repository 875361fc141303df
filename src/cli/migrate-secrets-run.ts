import { deadLetters } from '../../producers/dead-letters.js';
import { securedEvents } from '../../producers/secured.js';
import { judgeStores } from '../app-installation.js';
import { requireLasting } from '../app-manager.js';
import { openWorker, planContext, openSecretsManager } from '../app.js';
import type { Config } from '../config.js';
import { countByManager } from '../database/find-pending.js';
import { COMMAND_LOCK_WAIT_MS, type Database } from '../database/database.js';
import { openIdentity, readIdentity, type DatabaseIdentity } from '../database/settings.js';
import { requireCurrentSchema } from '../database/schema.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { KafkaOutlet } from '../../producers/outlet.js';
import { readClusterId } from '../kafka/admin.js';
import { FailureLog, type Logger } from '../observability/index.js';
import { Migrate } from '../operations/migrate/migrate.js';
import { previewMigration, type PlannedMove } from '../operations/migrate/preview.js';
import {
  listMigrations,
  openMigration,
  type MigrationRecord,
  type MigrationRequest,
} from '../upkeep/migration-record.js';
import type { Progress } from '../operations/progress.js';
import { changedBy, operatorName } from '../operator.js';
import { checkStore } from '../secrets-managers/check-store.js';
import { ManagerPool } from '../secrets-managers/pool.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { ManagerName } from '../terms.js';
import type { Outlet } from '../transport.js';
import { recordJson } from './migrate-secrets-text.js';
import { readDatabase } from './read-database.js';
import { writeDatabase } from './write-database.js';

export interface RunMigrationOptions {
  /** With the target as the secrets manager. */
  readonly config: Config<'keys'>;
  readonly request: MigrationRequest;
  readonly concurrency: number;
  readonly logger: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const CLOSE_DEADLINE_MS = 5_000;
/** Without a broker nobody says what its topics take: Kafka's default. */
const DEFAULT_RECORD_BYTES = 1_000_000;

/** Makes the target the active manager and moves what was asked for. What it cannot do is in the record it returns. */
export async function runMigration(options: RunMigrationOptions): Promise<MigrationRecord> {
  const { config, request, concurrency, progress, signal } = options;
  const outlet = await openOutlet(options);
  const failures = new FailureLog(options.logger);
  try {
    const record = await writeDatabase(config, async (database) => {
      await requireCurrentSchema(database);
      const identity = await requireSense(database, options);
      await requireUsable(options, outlet, database, identity);
      return openMigration(database, request, changedBy('migrate-secrets'));
    });
    const worker = await openWorker(config, {
      outlet: outlet.outlet,
      observer: { handled: () => undefined, failed: () => undefined },
      managerChange: 'explicit',
      kafkaCluster: outlet.kafkaCluster,
      publishes: outlet.publishes,
      actor: operatorName(),
      command: 'migrate-secrets',
      lockWaitMs: COMMAND_LOCK_WAIT_MS,
      onUnopened: (name, error) => failures.failed(`secrets in ${name} are left alone`, error),
    });
    try {
      const { publishes } = outlet;
      const { claimMs } = config.claims;
      return await new Migrate({ worker, record, concurrency, publishes, claimMs, progress }).run(signal);
    } finally {
      await worker.close();
    }
  } finally {
    failures.close();
    await outlet.close();
  }
}

export interface OpenedOutlet {
  readonly outlet: Outlet;
  readonly publishes: boolean;
  readonly kafkaCluster: (() => Promise<string>) | null;
  close(): Promise<void>;
}

/** Where a command publishes: to the broker, if there is one. */
export async function openOutlet({
  config,
  logger,
}: Pick<RunMigrationOptions, 'config' | 'logger'>): Promise<OpenedOutlet> {
  const { kafka } = config;
  if (kafka === null)
    return {
      outlet: new HeldBack(config.claims.storeTimeoutMs),
      publishes: false,
      kafkaCluster: null,
      close: () => Promise.resolve(),
    };
  const settings = kafkaSettings({ ...config, kafka });
  const bindings = [securedEvents(config.topics), deadLetters(config.topics)];
  const outlet = new KafkaOutlet({ settings, bindings, logger });
  await outlet.readLimits();
  return {
    outlet,
    publishes: true,
    kafkaCluster: () => readClusterId(settings, logger),
    close: () => outlet.close(CLOSE_DEADLINE_MS),
  };
}

/** There is no broker: everything waits in the database for a worker that has one. */
export class HeldBack implements Outlet {
  constructor(readonly requestTimeoutMs: number) {}

  maxRecordBytes(): number {
    return DEFAULT_RECORD_BYTES;
  }

  send(): Promise<void> {
    return Promise.reject(new WorkerError('BROKER_UNAVAILABLE', 'KAFKA_BROKERS is not set'));
  }
}

/** Before anything is changed. */
async function requireSense(
  database: Database,
  { config, request }: Pick<RunMigrationOptions, 'config' | 'request'>,
): Promise<DatabaseIdentity> {
  const { to, from, connectionIds } = request;
  requireLasting(to);
  const identity = await openIdentity(database, config.keys);
  if (identity === null)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'nothing is kept in this database yet: there was no first start',
    );
  const counts = await database.run(countByManager);
  if (from !== null && !counts.some(({ manager }) => manager === from))
    throw new ConfigurationError('USAGE_INVALID', `--from: no connection is kept in ${from}`);
  for (const id of connectionIds ?? []) {
    const isKnown = await database.run(({ manager, tables }) => manager.existsBy(tables.connection, { id }));
    if (!isKnown) throw new ConfigurationError('USAGE_INVALID', `--connection: there is no connection ${id}`);
  }
  return identity;
}

/** A target that cannot be used is noticed here, with nothing begun that would have to be resumed. */
async function requireUsable(
  { config, request: { to } }: Pick<RunMigrationOptions, 'config' | 'request'>,
  { kafkaCluster }: Pick<OpenedOutlet, 'kafkaCluster'>,
  database: Database,
  { installation }: DatabaseIdentity,
): Promise<void> {
  const managers = new ManagerPool((name) => openSecretsManager(config, config.keys, { installation }, name));
  try {
    await checkStore((await managers.of(to)).store);
    const identity = { activeManager: to, installation };
    await judgeStores({ config, database, identity, managers, kafkaCluster });
  } finally {
    await managers.close();
  }
}

/** What {@link runMigration} would do; reads only. */
export async function runPreview({
  config,
  request,
  progress,
  signal,
}: Omit<RunMigrationOptions, 'concurrency' | 'logger'>): Promise<PlannedMove[]> {
  return readDatabase(config, async (database) => {
    const identity = await requireSense(database, { config, request });
    const { installation } = identity;
    const managers = new ManagerPool((name) =>
      openSecretsManager(config, config.keys, { installation }, name),
    );
    try {
      const manager = await managers.of(request.to);
      const context = planContext(config, manager, identity, new HeldBack(0));
      const { to: active, from, connectionIds } = request;
      const scope = { active, from, connectionIds };
      return await previewMigration({ database, context, managers, scope, progress }, signal);
    } finally {
      await managers.close();
    }
  });
}

export interface MigrationStatus {
  readonly active: ManagerName | null;
  /** Managers that were left, the last one last. */
  readonly former: readonly ManagerName[];
  /** Connections that are not deleted, by the manager that keeps them. */
  readonly connections: readonly { readonly manager: ManagerName; readonly count: number }[];
  readonly migrations: readonly object[];
}

export async function readMigrationStatus(database: Database): Promise<MigrationStatus> {
  const identity = await readIdentity(database);
  return {
    active: identity?.activeManager ?? null,
    former: identity?.formerManagers ?? [],
    connections: await database.run(countByManager),
    migrations: (await listMigrations(database)).map(recordJson),
  };
}
