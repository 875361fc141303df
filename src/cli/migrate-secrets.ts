import { Option, type Command } from 'commander';
import { loadConfig, type Config } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { MigrationRecord, MigrationRequest } from '../upkeep/migration-record.js';
import { MANAGER_NAMES, type ManagerName } from '../terms.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { commandLogger } from './logging.js';
import { previewText, recordJson, recordText, statusText } from './migrate-secrets-text.js';
import { wholeNumber } from './parse.js';
import { howToResume, showProgress } from './progress.js';
import { readDatabase } from './read-database.js';
import { stopSignals } from './signals.js';
import { refuseOptionsOfParent } from './subcommands.js';
import { examples } from './text.js';

interface RunOptions {
  readonly concurrency?: number;
  readonly json?: true;
}

interface MigrateOptions extends RunOptions {
  readonly to?: ManagerName;
  readonly from?: ManagerName;
  readonly connection?: readonly string[];
  readonly deleteSource?: true;
  readonly dryRun?: true;
}

const CONCURRENCY = 8;
const EXIT_CODES =
  '\n\nWithout KAFKA_BROKERS the secured events wait in the database for the next `start`.' +
  '\nExit codes: 0 all moved, 1 some could not be (listed) or it was interrupted, 2 wrong use or configuration.';

export function defineMigrateSecrets(program: Command, cli: Cli, done: Done): void {
  const migrate = program
    .command('migrate-secrets')
    .description('move the secrets to another manager, connection by connection, and make it the active one')
    .addOption(new Option('--to <manager>', 'where to').choices(MANAGER_NAMES))
    .addOption(new Option('--from <manager>', 'only what is kept there').choices(MANAGER_NAMES))
    .option('--connection <id...>', 'only these now; workers and later runs move the rest')
    .option('--delete-source', 'delete what the former manager has at once, instead of after the grace')
    .option('--dry-run', 'say what would be moved and what could not be; changes nothing')
    .addOption(concurrency())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        'migrate-secrets --to managed-aws --dry-run',
        'migrate-secrets --to managed-aws',
        'migrate-secrets --to managed-aws --delete-source',
        'migrate-secrets status',
      ) + EXIT_CODES,
    )
    .action(async (options: MigrateOptions) => {
      const request = requestOf(options);
      done(
        options.dryRun ? await dryRun(cli, request, options) : await migrateSecrets(cli, request, options),
      );
    });
  refuseOptionsOfParent(migrate);
  withRunOptions(migrate.command('resume'))
    .description('go on with the newest migration that did not come to its end')
    .addHelpText('after', examples('migrate-secrets resume') + EXIT_CODES)
    .action(async (_options: RunOptions, command: Command) => {
      done(await migrateSecrets(cli, await unfinished(cli), command.optsWithGlobals<RunOptions>()));
    });
  withRunOptions(migrate.command('rollback'))
    .description('back to the manager that was active before; what events have set since goes along')
    .addHelpText('after', examples('migrate-secrets rollback') + EXIT_CODES)
    .action(async (_options: RunOptions, command: Command) => {
      done(await migrateSecrets(cli, await backwards(cli), command.optsWithGlobals<RunOptions>()));
    });
  migrate
    .command('status')
    .description('where the connections are, and the last migrations')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('migrate-secrets status', 'migrate-secrets status --json'))
    .action(async (_options: RunOptions, command: Command) => {
      const status = await readStatus(cli);
      if (command.optsWithGlobals<RunOptions>().json) printJson(cli, status);
      else printLine(cli, statusText(status));
      done(EXIT.ok);
    });
}

function withRunOptions(command: Command): Command {
  return command.addOption(concurrency()).option('--json', 'print the result as JSON');
}

function concurrency(): Option {
  return new Option(
    '--concurrency <number>',
    `connections at the same time; ${CONCURRENCY} by default`,
  ).argParser(wholeNumber(1, 100));
}

function requestOf({ to, from, connection, deleteSource }: MigrateOptions): MigrationRequest {
  if (to === undefined)
    throw new ConfigurationError('USAGE_INVALID', '--to: say which secrets manager is to have the secrets');
  if (from === to) throw new ConfigurationError('USAGE_INVALID', '--from and --to are the same');
  return {
    to,
    from: from ?? null,
    connectionIds: connection ?? null,
    deleteSource: deleteSource ?? false,
  };
}

async function migrateSecrets(cli: Cli, request: MigrationRequest, options: RunOptions): Promise<ExitCode> {
  const { runMigration } = await import('./migrate-secrets-run.js');
  const config = configFor(cli, request.to);
  const stop = stopSignals(null);
  const progress = showProgress(cli, { title: 'migrating', unit: 'connections' });
  let record: MigrationRecord;
  try {
    record = await runMigration({
      config,
      request,
      concurrency: options.concurrency ?? CONCURRENCY,
      logger: commandLogger(cli, config),
      progress,
      signal: stop.signal,
    });
  } finally {
    progress.stop();
    stop.release();
  }
  if (record.state === 'interrupted') cli.stderr.write(howToResume('migrate-secrets resume'));
  if (options.json) printJson(cli, recordJson(record));
  else printLine(cli, recordText(record));
  return record.state === 'done' ? EXIT.ok : EXIT.failed;
}

async function dryRun(cli: Cli, request: MigrationRequest, options: RunOptions): Promise<ExitCode> {
  const { runPreview } = await import('./migrate-secrets-run.js');
  const stop = stopSignals(null);
  const progress = showProgress(cli, { title: 'looking', unit: 'connections' });
  try {
    const planned = await runPreview({
      config: configFor(cli, request.to),
      request,
      progress,
      signal: stop.signal,
    });
    progress.stop();
    const problems = planned.filter(({ problem }) => problem !== null).length;
    if (options.json) printJson(cli, { ok: problems === 0, to: request.to, connections: planned });
    else printLine(cli, previewText(request.to, planned));
    return problems === 0 && !stop.signal.aborted ? EXIT.ok : EXIT.failed;
  } finally {
    progress.stop();
    stop.release();
  }
}

/** The settings, with the target as the secrets manager: whatever SECRET_MANAGER says now. */
function configFor(cli: Cli, to: ManagerName): Config<'keys'> {
  return loadConfig({ ...cli.env, SECRET_MANAGER: to }, { need: ['keys'] });
}

async function unfinished(cli: Cli): Promise<MigrationRequest> {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { listMigrations } = await import('../upkeep/migration-record.js');
    const [newest] = await listMigrations(database);
    if (newest === undefined || newest.state === 'done')
      throw new ConfigurationError(
        'USAGE_INVALID',
        'there is no migration to go on with: see `migrate-secrets status`',
      );
    return newest.request;
  });
}

async function backwards(cli: Cli): Promise<MigrationRequest> {
  const { former } = await readStatus(cli);
  const to = former.at(-1);
  if (to === undefined)
    throw new ConfigurationError(
      'USAGE_INVALID',
      'no other secrets manager was active before: there is no way back',
    );
  return { to, from: null, connectionIds: null, deleteSource: false };
}

async function readStatus(cli: Cli) {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { readMigrationStatus } = await import('./migrate-secrets-run.js');
    return readMigrationStatus(database);
  });
}
