import { openSecretsManager, openWorker } from '../../../worker/worker.js';
import type { Config } from '../../../config.js';
import { connectionsById, isSetUp, StateCopy } from '../../../database/copy-state.js';
import { Database } from '../../../database/database.js';
import type { ConnectionRow } from '../../../database/rows.js';
import { migrateSchema } from '../../../database/schema.js';
import { openIdentity } from '../../../database/settings.js';
import { ConfigurationError } from '../../../errors.js';
import { checkTopics, judgeTopicProblems } from '../../../kafka/topic-checks.js';
import { EventLog, FailureLog, type Logger } from '../../../observability/index.js';
import { kafkaSettings } from '../../../kafka/settings-from-config.js';
import { openOutlet } from '../../outlet.js';
import type { Progress } from '../../progress.js';
import { ReplayCounts, type ReplayTotals } from '../counts.js';
import type { ReplayPlan } from '../plan.js';
import type { PartitionPosition } from '../positions.js';
import { Replay } from '../replay.js';
import { CopyingLedger } from './ledger.js';
import { withoutStore } from './store.js';
import { ConnectionCounts, type ConnectionOutcomes } from './connection-counts.js';

interface DryRunOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly plan: ReplayPlan;
  /** Opened for reading; null if there is none yet. */
  readonly database: Database | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What a replay would do with one connection. */
export interface ConnectionPreview extends ConnectionOutcomes {
  readonly connectionId: string;
  readonly name: string | null;
  readonly kind: string | null;
  /** Null if the connection does not exist; likewise `after`. */
  readonly before: { readonly state: string; readonly revision: number } | null;
  readonly after: { readonly state: string; readonly revision: number } | null;
}

export interface DryRunReport {
  readonly isWhole: boolean;
  readonly positions: readonly PartitionPosition[];
  readonly totals: ReplayTotals;
  /** Connections that would change, or get a dead letter or a waiting event. */
  readonly connections: readonly ConnectionPreview[];
}

const NOWHERE = { type: 'sqlite', file: ':memory:' } as const;

/**
 * Handles the selected events on a copy of the state in memory and reports the outcomes. Writes no row and no record, and
 * does not ask the store.
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
    const before = new Map<string, ConnectionRow>();
    const { outlet, close } = await openOutlet(config, logger);
    await close();
    const worker = await openWorker(config, {
      // It still knows how large records may be, and drops them.
      outlet: {
        requestTimeoutMs: outlet.requestTimeoutMs,
        maxRecordBytes: (stream) => outlet.maxRecordBytes(stream),
        send: () => Promise.resolve(),
      },
      observer: new EventLog(logger, failures, connections),
      kafkaCluster: null,
      standIns: {
        database: memory,
        openManager: async (name) =>
          withoutStore(await openSecretsManager(withoutVault(config), config.keys, {}, name)),
        openLedger: (ledgerOptions) => new CopyingLedger(memory, ledgerOptions, copy, before),
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
      connections: await previews(memory, connections, before),
    };
  } finally {
    failures.close();
    await memory.close();
  }
}

/** Rows without digests get them at the next start of a worker. The copy would refuse such rows. */
async function requireDigests(database: Database, keys: Config<'keys'>['keys']): Promise<void> {
  const identity = await openIdentity(database, keys);
  if (identity?.hasDigests === false)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'the rows of references have no digests yet: start a worker of this version once, then run the dry run again',
    );
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
  before: ReadonlyMap<string, ConnectionRow>,
): Promise<ConnectionPreview[]> {
  const ids = counts.changed();
  const after = await connectionsById(memory, ids);
  return ids.map((connectionId) => {
    const [old, now] = [before.get(connectionId), after.get(connectionId)];
    return {
      connectionId,
      name: now?.name ?? old?.name ?? null,
      kind: now?.kind ?? old?.kind ?? null,
      before: stateOf(old),
      after: stateOf(now),
      ...counts.of(connectionId),
    };
  });
}

function stateOf(row: Pick<ConnectionRow, 'state' | 'revision'> | undefined): ConnectionPreview['before'] {
  return row === undefined || row.state === 'new' ? null : { state: row.state, revision: row.revision };
}
