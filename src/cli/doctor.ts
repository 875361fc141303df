import { loadConfig, SettingsError, type Config } from '../config.js';
import { ERROR_CODES } from '../errors.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { command, option } from './define-command.js';
import { failed, ok, warned, type CheckResult } from './doctor-check.js';
import type { Declaration } from './doctor-declare.js';
import { commandLogger } from './logging.js';
import { printable, type Look } from './text.js';

const SIGNS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ', skipped: 'skipped' } as const;

export const doctor = command<Declaration>({
  name: 'doctor',
  about: 'check configuration, keys, database, broker, topics and store; each with what to do',
  options: [
    option(
      '--restored',
      'first declare the database restored from a backup: what is published from now on is newer to its readers than all before',
    ),
    option(
      '--moved',
      'first declare that this database, the one that is at work, has moved, or its Kafka cluster',
    ),
    option(
      '--copied',
      'first declare this database a copy, an installation of its own from now on; needs another OPENMETADATA_CLUSTER_NAME',
    ),
    option(
      '--take-over <installation>',
      'first declare that this empty database takes the place of a lost one, whose installation the refusal of a start names',
    ),
  ],
  examples: ['doctor', 'doctor --json', 'doctor --restored', 'doctor --moved'],
  exits: ['all well (there may be warnings)', 'a check failed'],
  run: async (cli, declaration) => {
    const { declare } = await import('./doctor-declare.js');
    const declared = await declare(cli, declaration);
    const { results: examined, code } = await examine(cli);
    const checks = [...declared, ...examined];
    return {
      json: { ok: code === EXIT.ok, checks },
      text: (look) => checks.map((one) => asText(one, look)).join('\n'),
      code,
    };
  },
});

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
  const { checkInstallation } = await import('./doctor-installation.js');
  const results = [
    ok('configuration', 'every setting is well-formed'),
    ...config.warnings.map((warning) =>
      warned('configuration', warning, 'Correct the variable, or unset it.'),
    ),
    ...(await checkKeys(config.keys)),
    ...(await checkDatabase(config)),
    ...(await checkKafka(config, commandLogger(cli, config))),
    await checkSecretsStore(config),
    ...(await checkInstallation(config, commandLogger(cli, config))),
    await checkCatalogue(config),
  ];
  return { results, code: results.some(({ result }) => result === 'failed') ? EXIT.failed : EXIT.ok };
}

function asText({ check, result, detail, remedy }: CheckResult, { mark }: Look): string {
  const line = `${mark(SIGNS[result])} ${check}: ${printable(detail)}`;
  return remedy === null ? line : `${line}\n        hint: ${remedy}`;
}
