import type { Command } from 'commander';
import { loadConfig, type KeyConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Database } from '../database/database.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { openForReading } from './read-database.js';
import { examples } from './text.js';
import { writeDatabase } from './write-database.js';

interface Options {
  readonly json?: true;
  readonly yes?: true;
}

export function defineDatabase(program: Command, cli: Cli, done: Done): void {
  const database = program.command('database').description("the database's schema: its version, up and down");
  database
    .command('status')
    .description('which migrations have run, which are pending')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('database status', 'database status --json'))
    .action(async ({ json }: Options) => {
      const { schemaStatus } = await import('../database/schema.js');
      const status = await openForReading(loadConfig(cli.env, { need: [] }), schemaStatus);
      if (json) printJson(cli, status);
      else printLine(cli, describeStatus(status));
      done(EXIT.ok);
    });
  database
    .command('migrate')
    .description('bring the schema up to this program’s version')
    .option('--json', 'print what ran as JSON')
    .addHelpText('after', examples('database migrate'))
    .action(async ({ json }: Options) => {
      const { migrateSchema } = await import('../database/schema.js');
      const ran = await writeDatabase(loadConfig(cli.env, { need: [] }), migrateSchema);
      if (json) printJson(cli, { ran });
      else
        printLine(
          cli,
          ran.length === 0 ? 'The schema is up to date.' : ran.map((name) => `ran ${name}`).join('\n'),
        );
      done(EXIT.ok);
    });
  database
    .command('revert')
    .description('undo the newest migration; refused where the database holds connections, unless --yes')
    .option('--yes', 'also where connections are lost by it')
    .option('--json', 'print what was undone as JSON')
    .addHelpText('after', examples('database revert', 'database revert --yes'))
    .action(async ({ json, yes }: Options) => {
      const config = loadConfig(cli.env, { need: [] });
      const reverted = await writeDatabase(config, (opened) => revert(opened, config.keys, yes === true));
      if (json) printJson(cli, { reverted });
      else printLine(cli, reverted === null ? 'There is nothing to undo.' : `undone ${reverted}`);
      done(EXIT.ok);
    });
}

async function revert(database: Database, keys: KeyConfig | null, isSure: boolean): Promise<string | null> {
  const { revertSchema, schemaStatus } = await import('../database/schema.js');
  const { executed } = await schemaStatus(database);
  if (!isSure && executed.length > 0) {
    const count = await database.run(({ manager, tables }) => manager.count(tables.connection));
    if (count > 0)
      throw new ConfigurationError(
        'USAGE_INVALID',
        `the database holds ${count} connections, whose secrets may be lost by this: make a backup, then repeat it with --yes`,
      );
  }
  return revertSchema(database, keys);
}

function describeStatus(status: {
  readonly executed: readonly string[];
  readonly pending: readonly string[];
  readonly unknown: readonly string[];
}): string {
  const lines = [
    ...status.executed.map(
      (name) => `done     ${name}${status.unknown.includes(name) ? ' (not known here)' : ''}`,
    ),
    ...status.pending.map((name) => `pending  ${name}`),
  ];
  const verdict =
    status.unknown.length > 0
      ? 'The schema is newer than this program.'
      : status.pending.length > 0
        ? 'The schema is older than this program: run `connection-secrets database migrate`.'
        : 'The schema is up to date.';
  return [...lines, verdict].join('\n');
}
