import { judgeStores } from '../../worker/installation.js';
import { requireLasting } from '../../worker/manager.js';
import { openWorker, planContext, openSecretsManager } from '../../worker/worker.js';
import type { Config } from '../../config.js';
import { countByManager } from '../../database/find-pending.js';
import { COMMAND_LOCK_WAIT_MS, type Database } from '../../database/database.js';
import { openIdentity, readIdentity, type DatabaseIdentity } from '../../database/settings.js';
import { ConfigurationError } from '../../errors.js';
import { FailureLog, type Logger } from '../../observability/index.js';
import { changedBy, operatorName } from '../../operator.js';
import { checkStore } from '../../secrets-managers/check-store.js';
import { ManagerPool } from '../../secrets-managers/pool.js';
import {
  listMigrations,
  openMigration,
  type MigrationRecord,
  type MigrationRequest,
} from '../../upkeep/migration-record.js';
import { readDatabase, writeDatabase } from '../open-database.js';
import { heldBack, openOutlet, type OpenedOutlet } from '../outlet.js';
import type { Progress } from '../progress.js';
import { Migrate } from './migrate.js';
import { previewMigration, type PlannedMove } from './preview.js';

export interface RunMigrationOptions {
  /** With the target as the secrets manager. */
  readonly config: Config<'keys'>;
  readonly request: MigrationRequest;
  readonly concurrency: number;
  readonly logger: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Makes the target the active manager and moves what was asked for. What it cannot do is in the record it returns. */
export async function runMigration(options: RunMigrationOptions): Promise<MigrationRecord> {
  const { config, request, concurrency, progress, signal } = options;
  const outlet = await openOutlet(config, options.logger);
  const failures = new FailureLog(options.logger);
  try {
    const record = await writeDatabase(config, async (database) => {
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
      const context = planContext(config, manager, identity, heldBack(0));
      const { to: active, from, connectionIds } = request;
      const scope = { active, from, connectionIds };
      return await previewMigration({ database, context, managers, scope, progress }, signal);
    } finally {
      await managers.close();
    }
  });
}

export type MigrationStatus = Awaited<ReturnType<typeof readMigrationStatus>>;

export async function readMigrationStatus(database: Database) {
  const identity = await readIdentity(database);
  return {
    active: identity?.activeManager ?? null,
    /** Managers that were left, the last one last. */
    former: identity?.formerManagers ?? [],
    /** Connections that are not deleted, by the manager that keeps them. */
    connections: await database.run(countByManager),
    migrations: await listMigrations(database),
  };
}
