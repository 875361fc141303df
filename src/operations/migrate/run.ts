import { judgeStores } from '../../worker/installation.js';
import { requireLasting } from '../../worker/manager.js';
import { openWorker, planContext, openSecretsManager } from '../../worker/worker.js';
import type { Config } from '../../config.js';
import { countByManager } from '../../database/find-pending.js';
import { COMMAND_LOCK_WAIT_MS, type Database } from '../../database/database.js';
import type { PageRequest } from '../../database/page.js';
import { readIdentity, type DatabaseIdentity } from '../../database/settings.js';
import { ConfigurationError } from '../../errors.js';
import { FailureLog, managerLog, type Logger } from '../../observability/index.js';
import { changedBy, operatorName } from '../../operator.js';
import { checkStore } from '../../secrets-managers/check-store.js';
import { ManagerPool } from '../../secrets-managers/pool.js';
import {
  listMigrations,
  openMigration,
  type MigrationRecord,
  type MigrationRequest,
} from '../../upkeep/migration-record.js';
import { readDatabase, requireConnections, requireIdentity, writeDatabase } from '../open-database.js';
import { heldBack, openOutlet, type OpenedOutlet } from '../outlet.js';
import type { Progress } from '../progress.js';
import { Migrate } from './migrate.js';
import { previewMigration, type PlannedMove } from './preview.js';

interface RunMigrationOptions {
  /** Its secrets manager is the target. */
  readonly config: Config<'keys'>;
  readonly request: MigrationRequest;
  readonly concurrency: number;
  readonly logger: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Makes the target the active manager and moves the connections of the request. The record says what it could not do. */
export async function runMigration(options: RunMigrationOptions): Promise<MigrationRecord> {
  const { config, request, concurrency, progress, signal } = options;
  const outlet = await openOutlet(config, options.logger);
  const failures = new FailureLog(options.logger);
  try {
    const record = await writeDatabase(config, async (database) => {
      const identity = await checkRequest(database, options);
      await requireUsable(options, outlet, database, identity);
      return openMigration(database, request, changedBy(config, 'migrate-secrets'));
    });
    const worker = await openWorker(config, {
      outlet: outlet.outlet,
      observer: { handled: () => undefined, failed: () => undefined },
      managerChange: 'explicit',
      kafkaCluster: outlet.kafkaCluster,
      publishes: outlet.publishes,
      actor: operatorName(config),
      command: 'migrate-secrets',
      lockWaitMs: COMMAND_LOCK_WAIT_MS,
      ...managerLog(options.logger, failures),
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

/** Checks the request before anything is changed. */
async function checkRequest(
  database: Database,
  { config, request }: Pick<RunMigrationOptions, 'config' | 'request'>,
): Promise<DatabaseIdentity> {
  const { to, from, connectionIds } = request;
  requireLasting(to);
  const identity = await requireIdentity(database, config.keys);
  const counts = await database.run(countByManager);
  if (from !== null && !counts.some(({ manager }) => manager === from))
    throw new ConfigurationError('USAGE_INVALID', `--from: no connection has its secrets in ${from}`);
  await requireConnections(database, connectionIds ?? []);
  return identity;
}

/** Refuses a target that cannot be used before the migration begins: otherwise somebody would have to resume it. */
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

/** Says what {@link runMigration} would do. Reads only. */
export async function runPreview({
  config,
  request,
  progress,
  signal,
}: Omit<RunMigrationOptions, 'concurrency' | 'logger'>): Promise<PlannedMove[]> {
  return readDatabase(config, async (database) => {
    const identity = await checkRequest(database, { config, request });
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

/** With one page of the migrations that there have been. */
export async function readMigrationStatus(database: Database, page: PageRequest) {
  const identity = await readIdentity(database);
  return {
    active: identity?.activeManager ?? null,
    /** Managers that were active before, the latest last. */
    former: identity?.formerManagers ?? [],
    /** How many connections that are not deleted have their secrets in each manager. */
    connections: await database.run(countByManager),
    ...(await listMigrations(database, page)),
  };
}
