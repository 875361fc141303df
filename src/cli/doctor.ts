import type { Command } from 'commander';
import { loadConfig, SettingsError, type Config } from '../config.js';
import { ConfigurationError, ERROR_CODES } from '../errors.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { failed, ok, warned, type CheckResult } from './doctor-check.js';
import { commandLogger } from './logging.js';
import { missingDatabase } from './read-database.js';
import { examples, printable } from './text.js';
import { writeDatabase } from './write-database.js';

const SIGNS = { ok: 'ok      ', warning: 'warning ', failed: 'FAILED  ', skipped: 'skipped ' } as const;

export function defineDoctor(program: Command, cli: Cli, done: Done): void {
  program
    .command('doctor')
    .description('check configuration, keys, database, broker, topics and store; each with what to do')
    .option(
      '--restored',
      'first declare the database restored from a backup: what is published from now on is newer to its readers than all before',
    )
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('doctor', 'doctor --json', 'doctor --restored') +
        '\n\nExit codes: 0 all well (there may be warnings), 1 a check failed, 2 the configuration is wrong.',
    )
    .action(async ({ json, restored }: { json?: true; restored?: true }) => {
      const declared = restored ? [await declareRestored(cli)] : [];
      const { results: examined, code } = await examine(cli);
      const results = [...declared, ...examined];
      if (json) printJson(cli, { ok: code === EXIT.ok, checks: results });
      else printLine(cli, results.map(asText).join('\n'));
      done(code);
    });
}

async function declareRestored(cli: Cli): Promise<CheckResult> {
  const { requireCurrentSchema } = await import('../database/schema.js');
  const { renewGeneration } = await import('../database/settings.js');
  const config = loadConfig(cli.env, { need: ['keys'] });
  const missing = missingDatabase(config);
  if (missing !== null) throw new ConfigurationError('CONFIG_INVALID', missing);
  const generation = await writeDatabase(config, async (database) => {
    await requireCurrentSchema(database);
    return renewGeneration(database);
  });
  return ok('restored', `the database has the new generation ${generation}; start the workers again`);
}

async function examine(cli: Cli): Promise<{ results: readonly CheckResult[]; code: ExitCode }> {
  let config: Config<'keys'>;
  try {
    config = loadConfig(cli.env, { need: ['keys'] });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const { remedy } = ERROR_CODES[error.code];
    const results = error.problems.map(({ name, message }) =>
      failed(`configuration ${name}`, message, remedy, error.code),
    );
    return { results, code: EXIT.usage };
  }
  const { checkKeys } = await import('./doctor-keys.js');
  const { checkDatabase } = await import('./doctor-database.js');
  const { checkKafka } = await import('./doctor-kafka.js');
  const { checkCatalogue, checkSecretsStore } = await import('./doctor-store.js');
  const results = [
    ok('configuration', 'every setting is well-formed'),
    ...config.warnings.map((warning) =>
      warned('configuration', warning, 'Correct the variable, or unset it.'),
    ),
    ...(await checkKeys(config.keys)),
    ...(await checkDatabase(config)),
    ...(await checkKafka(config, commandLogger(cli, config))),
    await checkSecretsStore(config),
    await checkCatalogue(config),
  ];
  return { results, code: results.some(({ result }) => result === 'failed') ? EXIT.failed : EXIT.ok };
}

function asText({ check, result, detail, remedy }: CheckResult): string {
  const line = `${SIGNS[result]}${check}: ${printable(detail)}`;
  return remedy === null ? line : `${line}\n        hint: ${remedy}`;
}
