import { Option, type Command } from 'commander';
import { loadConfig, type Config } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { ReplayPlan, ReplaySelection, ReplayStart } from '../operations/replay/plan.js';
import type { ReplayRequest } from '../operations/replay/replay.js';
import { KINDS, type Kind } from '../terms.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { commandLogger } from './logging.js';
import { pointInTime, wholeNumber } from './parse.js';
import { replayJson, replayTable, replayText } from './replay-text.js';
import { howToResume, showProgress } from './progress.js';
import { readDatabase } from './read-database.js';
import { stopSignals } from './signals.js';
import { examples } from './text.js';

interface RunOptions {
  readonly concurrency?: number;
  readonly json?: true;
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
}

/** What a stop may take besides its grace: leaving the group, closing connections. */
const CLOSE_MS = 10_000;
const STATUS_LIMIT = 20;
const EXIT_CODES =
  '\n\nExit codes: 0 done (dead letters are in the summary), 1 interrupted or failed (resume it), 2 wrong use or configuration.';

export function defineReplay(program: Command, cli: Cli, done: Done): void {
  const replay = program
    .command('replay')
    .description('handle source events again, from a point in their topics up to where they end now')
    .addOption(start('--from-beginning', 'the oldest record there is (the default)'))
    .addOption(start('--from-offset <number>', 'this offset').argParser(wholeNumber(0)))
    .addOption(
      start('--from-time <time>', 'records not older: 2030-01-31T12:00:00Z, or an age such as 24h').argParser(
        (text) => pointInTime(text),
      ),
    )
    .option('--topic <name...>', 'only these of the source topics')
    .option('--partition <number...>', 'only these partitions', numbers)
    .option('--connection <id...>', 'only events of these connections')
    .addOption(new Option('--kind <kind...>', 'only events of these kinds').choices(KINDS))
    .option('--group <name>', 'consumer group to read with, which nobody else uses; a new one by default')
    .addOption(concurrency())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples('replay', 'replay --from-time 24h', 'replay --connection 4f1c… --json', 'replay resume') +
        EXIT_CODES,
    )
    .action(async (options: ReplayOptions) => {
      done(await runReplay(cli, { kind: 'start', plan: planOf(options) }, options));
    });
  replay
    .command('resume')
    .argument(
      '[id]',
      'of `replay status`; its first characters will do; the newest unfinished one by default',
    )
    .description('go on with a replay that was interrupted, where it stopped')
    .addOption(concurrency())
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('replay resume') + EXIT_CODES)
    .action(async (id: string | undefined, options: RunOptions, command: Command) => {
      const given = { ...options, ...command.optsWithGlobals<RunOptions>() };
      done(await runReplay(cli, { kind: 'resume', id: id ?? null }, given));
    });
  replay
    .command('status')
    .description('the last replays, the newest first')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('replay status', 'replay status --json'))
    .action(async (_options: RunOptions, command: Command) => {
      const records = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
        const { findReplays } = await import('../operations/replay/record.js');
        return findReplays(database, STATUS_LIMIT);
      });
      if (command.optsWithGlobals<RunOptions>().json) printJson(cli, records.map(replayJson));
      else printLine(cli, replayTable(records));
      done(EXIT.ok);
    });
}

async function runReplay(cli: Cli, request: ReplayRequest, options: RunOptions): Promise<ExitCode> {
  const config = loadConfig(cli.env);
  const stop = stopSignals(config.worker.shutdownGraceMs + CLOSE_MS);
  const progress = showProgress(cli, { title: 'replaying', unit: 'records' });
  const { replay } = await import('../operations/replay/replay.js');
  const record = await replay({
    config,
    logger: commandLogger(cli, config),
    request,
    concurrency: options.concurrency ?? defaultConcurrency(config),
    onStart: ({ id }) => cli.stderr.write(`replay ${id}\n`),
    progress,
    signal: stop.signal,
  }).finally(() => {
    progress.stop();
    stop.release();
  });
  if (record.state !== 'done') cli.stderr.write(howToResume(`replay resume ${record.id.slice(0, 8)}`));
  if (options.json) printJson(cli, replayJson(record));
  else printLine(cli, replayText(record));
  return record.state === 'done' ? EXIT.ok : EXIT.failed;
}

/** Half of a worker's: a replay is not to take the database from those who work beside it. */
function defaultConcurrency({ worker }: Config): number {
  return Math.max(1, Math.floor(worker.concurrency / 2));
}

function planOf(options: ReplayOptions): ReplayPlan {
  const selection: ReplaySelection = {
    topics: options.topic ?? null,
    partitions: options.partition ?? null,
    connectionIds: options.connection ?? null,
    kinds: options.kind ?? null,
  };
  return { start: startOf(options), selection, group: options.group ?? null };
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

function start(flags: string, description: string): Option {
  return new Option(flags, `begin at ${description}`);
}

function concurrency(): Option {
  return new Option(
    '--concurrency <number>',
    'connections worked on at the same time; half of WORKER_CONCURRENCY by default',
  ).argParser(wholeNumber(1, 1_000));
}

/** commander hands a repeated value what came before. */
function numbers(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), wholeNumber(0)(text)];
}
