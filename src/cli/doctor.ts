import type { Command } from 'commander';
import { loadConfig, SettingsError, type Config } from '../config.js';
import { ERROR_CODES } from '../errors.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { failed, ok, warned, type CheckResult } from './doctor-check.js';
import { commandLogger } from './logging.js';
import { examples, printable } from './text.js';

const SIGNS = { ok: 'ok      ', warning: 'warning ', failed: 'FAILED  ', skipped: 'skipped ' } as const;

export function defineDoctor(program: Command, cli: Cli, done: Done): void {
  program
    .command('doctor')
    .description('check configuration, keys, database, broker, topics and store; each with what to do')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('doctor', 'doctor --json') +
        '\n\nExit codes: 0 all well (there may be warnings), 1 a check failed, 2 the configuration is wrong.',
    )
    .action(async ({ json }: { json?: true }) => {
      const { results, code } = await examine(cli);
      if (json) printJson(cli, { ok: code === EXIT.ok, checks: results });
      else printLine(cli, results.map(asText).join('\n'));
      done(code);
    });
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
