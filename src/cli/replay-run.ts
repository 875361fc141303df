import { loadConfig, type Config } from '../config.js';
import type { ConnectionFilter } from '../database/connection-pages.js';
import type { ReplayPlan } from '../operations/replay/plan.js';
import type { ReplayRecord } from '../operations/replay/record.js';
import type { ReplayRequest } from '../operations/replay/replay.js';
import type { SecuredOptions } from '../operations/replay/secured.js';
import { EXIT, printJson, printLine, type Cli, type ExitCode } from './cli.js';
import { commandLogger } from './logging.js';
import { howToResume, showProgress, type ProgressOptions, type ShownProgress } from './progress.js';
import { missingDatabase, openForReading, readDatabase } from './read-database.js';
import { dryRunJson, dryRunText, replayJson, replayText, securedPreviewText } from './replay-text.js';
import { stopSignals } from './signals.js';

export interface RunOptions {
  readonly concurrency?: number;
  readonly json?: true;
}

/** What a stop may take besides its grace: leaving the group, closing connections. */
const CLOSE_MS = 10_000;
const RECORDS = { title: 'replaying', unit: 'records' };
const CONNECTIONS = { title: 'publishing', unit: 'connections' };

export async function startEvents(cli: Cli, plan: ReplayPlan, options: RunOptions): Promise<ExitCode> {
  return runEvents(cli, loadConfig(cli.env), { kind: 'start', plan }, options);
}

export async function startSecured(
  cli: Cli,
  filter: ConnectionFilter,
  options: RunOptions,
): Promise<ExitCode> {
  return runSecured(cli, loadConfig(cli.env), { kind: 'start', filter }, options);
}

export async function resumeReplay(cli: Cli, id: string | null, options: RunOptions): Promise<ExitCode> {
  const config = loadConfig(cli.env);
  const record = await readDatabase(config, async (database) => {
    const { unfinishedReplay } = await import('../operations/replay/record.js');
    return unfinishedReplay(database, id);
  });
  if (record.of === 'secured') return runSecured(cli, config, { kind: 'resume', record }, options);
  return runEvents(cli, config, { kind: 'resume', record }, options);
}

async function runEvents(
  cli: Cli,
  config: Config,
  request: ReplayRequest,
  options: RunOptions,
): Promise<ExitCode> {
  const record = await untilStopped(cli, config, RECORDS, async (progress, signal) => {
    const { replay } = await import('../operations/replay/replay.js');
    return replay({ ...shared(cli, config, options), request, onStart: sayStart(cli), progress, signal });
  });
  return report(cli, record, options);
}

async function runSecured(
  cli: Cli,
  config: Config,
  request: SecuredOptions['request'],
  options: RunOptions,
): Promise<ExitCode> {
  const record = await untilStopped(cli, config, CONNECTIONS, async (progress, signal) => {
    const { replaySecured } = await import('../operations/replay/secured.js');
    const logger = commandLogger(cli, config);
    return replaySecured({ config, logger, request, onStart: sayStart(cli), progress, signal });
  });
  return report(cli, record, options);
}

/** Says what would change, and changes nothing: the database is opened for reading, where there is one. */
export async function previewEvents(cli: Cli, plan: ReplayPlan, options: RunOptions): Promise<ExitCode> {
  const config = loadConfig(cli.env);
  const result = await untilStopped(cli, config, RECORDS, async (progress, signal) => {
    const { dryRun } = await import('../operations/replay/dry-run/run.js');
    const parts = { ...shared(cli, config, options), plan, progress, signal };
    if (missingDatabase(config) !== null) return dryRun({ ...parts, database: null });
    return openForReading(config, (database) => dryRun({ ...parts, database }));
  });
  if (options.json) printJson(cli, dryRunJson(result));
  else printLine(cli, dryRunText(result));
  if (result.isWhole) return EXIT.ok;
  cli.stderr.write('Stopped; a dry run changes nothing.\n');
  return EXIT.failed;
}

export async function previewSecured(
  cli: Cli,
  filter: ConnectionFilter,
  { json }: RunOptions,
): Promise<ExitCode> {
  const counts = await readDatabase(loadConfig(cli.env), async (database) => {
    const { countConnections } = await import('../database/connection-pages.js');
    const { requireKnown } = await import('../operations/replay/secured.js');
    await requireKnown(database, filter);
    return countConnections(database, filter);
  });
  if (json) printJson(cli, { dryRun: true, of: 'secured', selection: filter, connections: counts });
  else printLine(cli, securedPreviewText(counts));
  return EXIT.ok;
}

function shared(cli: Cli, config: Config, options: RunOptions) {
  // Half of a worker's: a replay is not to take the database from those who work beside it.
  const concurrency = options.concurrency ?? Math.max(1, Math.floor(config.worker.concurrency / 2));
  return {
    config: { ...config, worker: { ...config.worker, concurrency } },
    logger: commandLogger(cli, config),
  };
}

async function untilStopped<T>(
  cli: Cli,
  config: Config,
  shown: ProgressOptions,
  work: (progress: ShownProgress, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = stopSignals(config.worker.shutdownGraceMs + CLOSE_MS);
  const progress = showProgress(cli, shown);
  try {
    return await work(progress, stop.signal);
  } finally {
    progress.stop();
    stop.release();
  }
}

function sayStart({ stderr }: Cli): (record: ReplayRecord) => void {
  return ({ id }) => stderr.write(`replay ${id}\n`);
}

function report(cli: Cli, record: ReplayRecord, { json }: RunOptions): ExitCode {
  if (record.state === 'interrupted') cli.stderr.write(howToResume(`replay resume ${record.id.slice(0, 8)}`));
  if (json) printJson(cli, replayJson(record));
  else printLine(cli, replayText(record));
  return record.state === 'done' ? EXIT.ok : EXIT.failed;
}
