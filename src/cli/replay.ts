import { Argument, Option } from 'commander';
import { loadConfig, type Config } from '../config.js';
import type { ConnectionFilter } from '../database/connection-pages.js';
import { mapPage } from '../database/page.js';
import { ConfigurationError } from '../errors.js';
import { missingDatabase, openForReading, readDatabase } from '../operations/open-database.js';
import type { ReplayPlan, ReplayStart } from '../operations/replay/plan.js';
import type { ReplayRecord } from '../operations/replay/record.js';
import type { ReplayRequest } from '../operations/replay/replay.js';
import type { SecuredOptions } from '../operations/replay/secured.js';
import { KINDS, type Kind } from '../terms.js';
import { EXIT, type Cli } from './cli.js';
import { command, option } from './define-command.js';
import { commandLogger } from './logging.js';
import { listAnswer, PAGE_OPTIONS, pageRequest, type Answer, type PageOptions } from './output.js';
import { pointInTime, shortText, wholeNumber } from './parse.js';
import { DRY_RUN_STOPPED, howToResume, showingProgress } from './progress.js';
import { stopDeadlineMs } from './signals.js';
import {
  dryRunJson,
  dryRunText,
  REPLAY_COLUMNS,
  replayJson,
  replayText,
  securedPreviewText,
} from './replay-text.js';

interface RunOptions {
  readonly concurrency?: number;
}

interface ReplayOptions extends RunOptions {
  readonly fromBeginning?: true;
  readonly fromOffset?: number;
  readonly fromTime?: number;
  readonly topic?: readonly string[];
  readonly partition?: readonly number[];
  readonly connection?: readonly string[];
  readonly kind?: readonly Kind[];
  readonly group?: string;
  readonly secured?: true;
  readonly dryRun?: true;
}

const RECORDS = { title: 'replaying', unit: 'records' };
const CONNECTIONS = { title: 'publishing', unit: 'connections' };
/** What `replay` and `replay resume` have in common. Under another SECRET_MANAGER they audit its change. */
const REPLAY = {
  isAudited: true,
  exits: ['done (dead letters are in the summary)', 'interrupted or failed (resume it)'],
} as const;
const LANES = option(
  '--concurrency <number>',
  'connections worked on at the same time; half of WORKER_CONCURRENCY by default',
  wholeNumber(1, 1_000),
);

const resume = command<RunOptions, [id: string | undefined]>({
  ...REPLAY,
  name: 'resume',
  about: 'go on with a replay that was interrupted, where it stopped',
  args: [
    new Argument(
      '[id]',
      'of `replay status`; its first characters will do; the newest unfinished one by default',
    ).argParser(shortText),
  ],
  options: [LANES],
  examples: ['replay resume'],
  run: async (cli, options, id) => {
    const config = loadConfig(cli.env);
    const record = await readDatabase(config, async (database) => {
      const { unfinishedReplay } = await import('../operations/replay/record.js');
      return unfinishedReplay(database, id ?? null);
    });
    if (record.of === 'secured') return runSecured(cli, config, { kind: 'resume', record });
    return runEvents(cli, config, { kind: 'resume', record }, options);
  },
});

const status = command<PageOptions>({
  name: 'status',
  about: 'the last replays, the newest first',
  names: 'id',
  options: PAGE_OPTIONS,
  examples: ['replay status', 'replay status --limit 1 --output json'],
  run: async (cli, options) => {
    const page = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
      const { findReplays } = await import('../operations/replay/record.js');
      return findReplays(database, pageRequest(options));
    });
    return listAnswer(mapPage(page, replayJson), REPLAY_COLUMNS, 'There has been no replay.');
  },
});

export const replay = command<ReplayOptions>({
  ...REPLAY,
  name: 'replay',
  about: 'handle source events again, from a point in their topics up to where they end now',
  options: [
    option('--from-beginning', 'begin at the oldest record there is (the default)'),
    option('--from-offset <number>', 'begin at this offset', wholeNumber(0)),
    option(
      '--from-time <time>',
      'begin at records not older: 2030-01-31T12:00:00Z, or an age such as 24h',
      (text) => pointInTime(text),
    ),
    option('--topic <name...>', 'only these of the source topics'),
    option('--partition <number...>', 'only these partitions', numbers),
    option('--connection <id...>', 'only events of these connections'),
    new Option('--kind <kind...>', 'only events of these kinds').choices(KINDS),
    option('--secured', 'publish what the connections are now again, in place of handling source events'),
    option('--dry-run', 'only say what would change; also beside a worker on SQLite'),
    option('--group <name>', 'consumer group to read with, which nobody else uses; a new one by default'),
    LANES,
  ],
  examples: [
    'replay --dry-run',
    'replay --from-time 24h',
    'replay --connection 4f1c… --json',
    'replay --secured',
    'replay resume',
  ],
  run: async (cli, options) => {
    const { dryRun, connection, kind } = options;
    if (options.secured) {
      refuseWithSecured(options);
      const filter = { connectionIds: connection ?? null, kinds: kind ?? null };
      const config = loadConfig(cli.env);
      return dryRun ? previewSecured(config, filter) : runSecured(cli, config, { kind: 'start', filter });
    }
    const plan = planOf(options);
    const config = loadConfig(cli.env);
    return dryRun
      ? previewEvents(cli, config, plan, options)
      : runEvents(cli, config, { kind: 'start', plan }, options);
  },
  subcommands: [resume, status],
});

async function runEvents(
  cli: Cli,
  config: Config,
  request: ReplayRequest,
  options: RunOptions,
): Promise<Answer> {
  const record = await showingProgress(
    cli,
    RECORDS,
    async (progress, signal) => {
      const events = await import('../operations/replay/replay.js');
      const onStart = sayStart(cli);
      return events.replay({ ...shared(cli, config, options), request, onStart, progress, signal });
    },
    stopDeadlineMs(config),
  );
  return answerOf(record);
}

async function runSecured(cli: Cli, config: Config, request: SecuredOptions['request']): Promise<Answer> {
  const record = await showingProgress(
    cli,
    CONNECTIONS,
    async (progress, signal) => {
      const { replaySecured } = await import('../operations/replay/secured.js');
      const logger = commandLogger(cli, config);
      return replaySecured({ config, logger, request, onStart: sayStart(cli), progress, signal });
    },
    stopDeadlineMs(config),
  );
  return answerOf(record);
}

/** Says what would change, and changes nothing: the database is opened for reading, where there is one. */
async function previewEvents(
  cli: Cli,
  config: Config,
  plan: ReplayPlan,
  options: RunOptions,
): Promise<Answer> {
  const result = await showingProgress(
    cli,
    RECORDS,
    async (progress, signal) => {
      const { dryRun } = await import('../operations/replay/dry-run/run.js');
      const parts = { ...shared(cli, config, options), plan, progress, signal };
      if (missingDatabase(config) !== null) return dryRun({ ...parts, database: null });
      return openForReading(config, (database) => dryRun({ ...parts, database }));
    },
    stopDeadlineMs(config),
  );
  return {
    json: dryRunJson(result),
    note: result.isWhole ? undefined : DRY_RUN_STOPPED,
    text: (look) => dryRunText(result, look),
    code: result.isWhole ? EXIT.ok : EXIT.failed,
  };
}

async function previewSecured(config: Config, filter: ConnectionFilter): Promise<Answer> {
  const counts = await readDatabase(config, async (database) => {
    const { countConnections } = await import('../database/connection-pages.js');
    const { requireKnown } = await import('../operations/replay/secured.js');
    await requireKnown(database, filter);
    return countConnections(database, filter);
  });
  return {
    json: { dryRun: true, of: 'secured', selection: filter, connections: counts },
    text: () => securedPreviewText(counts),
  };
}

function shared(cli: Cli, config: Config, options: RunOptions) {
  // Half of a worker's: a replay is not to take the database from those who work beside it.
  const concurrency = options.concurrency ?? Math.max(1, Math.floor(config.worker.concurrency / 2));
  return {
    config: { ...config, worker: { ...config.worker, concurrency } },
    logger: commandLogger(cli, config),
  };
}

function sayStart({ stderr }: Cli): (record: ReplayRecord) => void {
  return ({ id }) => stderr.write(`replay ${id}\n`);
}

function answerOf(record: ReplayRecord): Answer {
  return {
    json: replayJson(record),
    note: record.state === 'interrupted' ? howToResume(`replay resume ${record.id.slice(0, 8)}`) : undefined,
    text: (look) => replayText(record, look),
    code: record.state === 'done' ? EXIT.ok : EXIT.failed,
  };
}

function planOf(options: ReplayOptions): ReplayPlan {
  const { topic, partition, connection, kind, group } = options;
  return {
    start: startOf(options),
    selection: {
      topics: topic ?? null,
      partitions: partition ?? null,
      connectionIds: connection ?? null,
      kinds: kind ?? null,
    },
    group: group ?? null,
  };
}

function startOf({ fromBeginning, fromOffset, fromTime }: ReplayOptions): ReplayStart {
  const given = [fromBeginning, fromOffset, fromTime].filter((one) => one !== undefined);
  if (given.length > 1)
    throw new ConfigurationError(
      'USAGE_INVALID',
      'one point to begin at: --from-beginning, --from-offset or --from-time',
    );
  if (fromOffset !== undefined) return { kind: 'offset', offset: fromOffset };
  return fromTime === undefined ? { kind: 'beginning' } : { kind: 'time', timeMs: fromTime };
}

/** States have no place in the source topics. */
function refuseWithSecured(options: ReplayOptions): void {
  const { fromBeginning, fromOffset, fromTime, topic, partition, group } = options;
  const given = [fromBeginning, fromOffset, fromTime, topic, partition, group];
  if (given.some((one) => one !== undefined))
    throw new ConfigurationError(
      'USAGE_INVALID',
      '--secured publishes what the database has: of the others only --connection, --kind and --dry-run go with it',
    );
}

/** commander hands a repeated value what came before. */
function numbers(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), wholeNumber(0)(text)];
}
