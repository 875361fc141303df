import { openSecretsManager, openWorker } from '../../../worker/worker.js';
import type { Config } from '../../../config.js';
import { connectionsById, isSetUp, StateCopy } from '../../../database/copy-state.js';
import { Database } from '../../../database/database.js';
import type { ConnectionRow } from '../../../database/rows.js';
import { migrateSchema } from '../../../database/schema.js';
import { openIdentity } from '../../../database/settings.js';
import { ConfigurationError } from '../../../errors.js';
import { checkTopics, judgeTopicProblems } from '../../../kafka/topic-checks.js';
import { KafkaOutlet } from '../../../../producers/outlet.js';
import { EventLog, FailureLog, type Logger } from '../../../observability/index.js';
import { kafkaSettings } from '../../../kafka/settings-from-config.js';
import type { Outlet } from '../../../transport.js';
import type { Progress } from '../../progress.js';
import { ReplayCounts, type ReplayTotals } from '../counts.js';
import type { ReplayPlan } from '../plan.js';
import type { PartitionPosition } from '../positions.js';
import { Replay } from '../replay.js';
import { CopyingLedger } from './ledger.js';
import { withoutStore } from './store.js';
import { ConnectionCounts, type ConnectionOutcomes } from './connection-counts.js';

export interface DryRunOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly plan: ReplayPlan;
  /** Opened for reading; null: there is none yet. */
  readonly database: Database | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What would become of one connection. */
export interface ConnectionPreview extends ConnectionOutcomes {
  readonly connectionId: string;
  readonly name: string | null;
  readonly kind: string | null;
  /** Null: it is not there. */
  readonly before: { readonly state: string; readonly revision: number } | null;
  readonly after: { readonly state: string; readonly revision: number } | null;
}

export interface DryRunReport {
  readonly isWhole: boolean;
  readonly positions: readonly PartitionPosition[];
  readonly totals: ReplayTotals;
  /** Connections that would change, or get a dead letter or an event that waits. */
  readonly connections: readonly ConnectionPreview[];
}

const CLOSE_DEADLINE_MS = 2_000;
const NOWHERE = { type: 'sqlite', file: ':memory:' } as const;

/**
 * Handles the chosen events on a copy of the state in memory, which grows with them, and says what came of it. Nothing
 * is written: no row, no record, and the store is not asked.
 */
export async function dryRun(options: DryRunOptions): Promise<DryRunReport> {
  const { config, logger } = options;
  const settings = kafkaSettings(config);
  judgeTopicProblems(await checkTopics(settings, config.topics, logger), logger);
  const memory = await Database.open({ address: NOWHERE, poolSize: 1 }, { access: 'write' });
  const failures = new FailureLog(logger);
  const counts = new ReplayCounts();
  const connections = new ConnectionCounts(counts);
  try {
    await migrateSchema(memory);
    const database = options.database !== null && (await isSetUp(options.database)) ? options.database : null;
    if (database !== null) await requireDigests(database, config.keys);
    const copy = database === null ? null : new StateCopy(database, memory);
    await copy?.identity();
    const outlet = await mutedOutlet(options);
    const ledger: { it: CopyingLedger | null } = { it: null };
    const worker = await openWorker(config, {
      outlet,
      observer: new EventLog(logger, failures, connections),
      kafkaCluster: null,
      standIns: {
        database: memory,
        openManager: async (name) =>
          withoutStore(await openSecretsManager(withoutVault(config), config.keys, {}, name)),
        openLedger: (ledgerOptions) => (ledger.it = new CopyingLedger(memory, ledgerOptions, copy)),
      },
    });
    const { plan, progress, signal } = options;
    const request = { kind: 'start', plan } as const;
    const parts = { config, logger, request, onStart: () => undefined, progress, signal };
    const run = new Replay({ ...parts, isDryRun: true }, settings, worker, counts);
    const { state, progress: reached } = await run.run();
    return {
      isWhole: state === 'done',
      positions: reached.positions,
      totals: reached.totals,
      connections: await previews(memory, connections, ledger.it),
    };
  } finally {
    failures.close();
    await memory.close();
  }
}

/** Rows without digests would be refused in the copy, and get theirs in the database. */
async function requireDigests(database: Database, keys: Config<'keys'>['keys']): Promise<void> {
  const identity = await openIdentity(database, keys);
  if (identity?.hasDigests === false)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'the rows of references have no digests yet: start a worker of this version first',
    );
}

/** Says how large records may be, and drops them. */
async function mutedOutlet({ config, logger }: DryRunOptions): Promise<Outlet> {
  const settings = kafkaSettings(config);
  const real = new KafkaOutlet({ settings, topics: config.topics, logger });
  await real.readLimits();
  await real.close(CLOSE_DEADLINE_MS);
  return {
    requestTimeoutMs: real.requestTimeoutMs,
    maxRecordBytes: (stream) => real.maxRecordBytes(stream),
    send: () => Promise.resolve(),
  };
}

/** `local` makes its file when it is opened. */
function withoutVault(config: Config): Config {
  const { secretsManager } = config;
  const values = { ...secretsManager.values, LOCAL_VAULT_FILE: ':memory:' };
  return { ...config, secretsManager: { ...secretsManager, values } };
}

async function previews(
  memory: Database,
  counts: ConnectionCounts,
  ledger: CopyingLedger | null,
): Promise<ConnectionPreview[]> {
  const ids = counts.changed();
  const after = await connectionsById(memory, ids);
  return ids.map((connectionId) => {
    const before = ledger?.before.get(connectionId);
    const now = after.get(connectionId);
    return {
      connectionId,
      name: now?.name ?? before?.name ?? null,
      kind: now?.kind ?? before?.kind ?? null,
      before: stateOf(before),
      after: stateOf(now),
      ...counts.of(connectionId),
    };
  });
}

function stateOf(row: Pick<ConnectionRow, 'state' | 'revision'> | undefined): ConnectionPreview['before'] {
  return row === undefined || row.state === 'new' ? null : { state: row.state, revision: row.revision };
}
