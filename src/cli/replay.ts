import { Option, type Command } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { ReplayPlan, ReplayStart } from '../operations/replay/plan.js';
import { KINDS, type Kind } from '../terms.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { pointInTime, wholeNumber } from './parse.js';
import { readDatabase } from './read-database.js';
import {
  previewEvents,
  previewSecured,
  resumeReplay,
  startEvents,
  startSecured,
  type RunOptions,
} from './replay-run.js';
import { replayJson, replayTable } from './replay-text.js';
import { refuseOptionsOfParent } from './subcommands.js';
import { examples } from './text.js';

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
    .option('--secured', 'publish what the connections are now again, in place of handling source events')
    .option('--dry-run', 'only say what would change; also beside a worker on SQLite')
    .option('--group <name>', 'consumer group to read with, which nobody else uses; a new one by default')
    .addOption(concurrency())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        'replay --dry-run',
        'replay --from-time 24h',
        'replay --connection 4f1c… --json',
        'replay --secured',
        'replay resume',
      ) + EXIT_CODES,
    )
    .action(async (options: ReplayOptions) => {
      if (options.secured) {
        refuseWithSecured(options);
        const filter = { connectionIds: options.connection ?? null, kinds: options.kind ?? null };
        done(await (options.dryRun ? previewSecured : startSecured)(cli, filter, options));
      } else {
        done(await (options.dryRun ? previewEvents : startEvents)(cli, planOf(options), options));
      }
    });
  refuseOptionsOfParent(replay);
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
    .action(async (id: string | undefined, _options: RunOptions, command: Command) => {
      done(await resumeReplay(cli, id ?? null, command.optsWithGlobals<RunOptions>()));
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
      '--secured publishes what the database has: of the others only --connection, --kind, --dry-run and --json go with it',
    );
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
