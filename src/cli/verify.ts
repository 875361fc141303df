import type { Command } from 'commander';
import { loadConfig, type Config } from '../config.js';
import type { Database } from '../database/database.js';
import { ConfigurationError } from '../errors.js';
import { deadLetterLine } from '../observability/event-log.js';
import { isSettled, FINDING_KINDS, type Finding } from '../operations/verify/finding.js';
import type { RepairWish } from '../operations/verify/repair.js';
import type { VerifyReport } from '../operations/verify/verify.js';
import type { DeadLetterHead } from '../pipeline/ledger.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { wholeNumber } from './parse.js';
import { showProgress } from './progress.js';
import { readDatabase } from './read-database.js';
import { stopSignals } from './signals.js';
import { examples, formatTable } from './text.js';
import { writeDatabase } from './write-database.js';

interface Options {
  readonly repair?: true;
  readonly accept?: true;
  readonly restore?: true;
  readonly connection?: string;
  readonly readsPerSecond: number;
  readonly json?: true;
}

const READS_PER_SECOND = 20;

export function defineVerify(program: Command, cli: Cli, done: Done): void {
  program
    .command('verify')
    .description('hold the database against the store, both ways: missing, changed, orphaned, wrongly tagged')
    .option('--repair', 'repair what is safe, each under its connection’s claim; the rest is explained')
    .option('--accept', 'what was changed in the store, by a rotation there, is the newest value from now on')
    .option('--restore', 'what was changed in the store gets our last value back')
    .option('--connection <id>', 'only this connection')
    .option(
      '--reads-per-second <number>',
      'requests that read the store',
      wholeNumber(1, 10_000),
      READS_PER_SECOND,
    )
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('verify', 'verify --repair', 'verify --accept --connection 4f1c…', 'verify --json') +
        '\n\nWithout --repair, --accept or --restore it only reads, also beside a worker on SQLite. What it can find: docs/cli.md.' +
        '\nExit codes: 0 all well, or all repaired; 1 something is left, or could not be looked at; 2 wrong use or configuration.',
    )
    .action(async (options: Options) => {
      if (options.accept && options.restore)
        throw new ConfigurationError('USAGE_INVALID', 'either --accept or --restore: one value can be right');
      const config = loadConfig(cli.env, { need: ['keys'] });
      const stop = stopSignals(null);
      try {
        done(await verify(cli, config, options, stop.signal));
      } finally {
        stop.release();
      }
    });
}

/** With the dead letters that the repair made. */
type Report = VerifyReport & { readonly deadLetters: readonly Readonly<Record<string, unknown>>[] };

async function verify(
  cli: Cli,
  config: Config<'keys'>,
  options: Options,
  signal: AbortSignal,
): Promise<ExitCode> {
  const work = (database: Database): Promise<Report> => run(cli, config, options, database, signal);
  const report = writes(options)
    ? await writeDatabase(config, async (database) => {
        const { requireCurrentSchema } = await import('../database/schema.js');
        await requireCurrentSchema(database);
        return work(database);
      })
    : await readDatabase(config, work);
  const isWell = !report.interrupted && report.skipped.busy === 0 && report.findings.every(isSettled);
  if (report.interrupted)
    cli.stderr.write('Stopped at a safe point; what was repaired stays. Run it again to look at the rest.\n');
  if (options.json) printJson(cli, { ok: isWell, ...report, findings: report.findings.map(asJson) });
  else printLine(cli, asText(report));
  return isWell ? EXIT.ok : EXIT.failed;
}

async function run(
  cli: Cli,
  config: Config<'keys'>,
  options: Options,
  database: Database,
  signal: AbortSignal,
): Promise<Report> {
  const { Verification } = await import('../operations/verify/verify.js');
  const { areAllTagged, repairAll } = await import('../operations/verify/repair-all.js');
  const { openVerification, repairers } = await import('./verify-parts.js');
  const progress = showProgress(cli, { title: 'verifying', unit: 'connections' });
  const { readsPerSecond } = options;
  const connectionId = options.connection ?? null;
  const deadLetters: DeadLetterHead[] = [];
  try {
    const opened = await openVerification(config, database, { connectionId, readsPerSecond, progress });
    try {
      const isWriting = writes(options);
      if (isWriting) await opened.requireOwnStores();
      const report = await new Verification(opened.parts, signal).run();
      if (!isWriting) return { ...report, deadLetters: [] };
      const { rememberAllTagged } = await import('../database/installation.js');
      const { securedContexts } = await import('../operations/secured-contexts.js');
      const onMade = (letters: readonly DeadLetterHead[]): void => void deadLetters.push(...letters);
      const contexts = securedContexts(config, opened.identity);
      try {
        await repairAll(report, repairers(config, opened, contexts, onMade), wishOf(options), signal);
      } finally {
        await contexts.close();
      }
      if (connectionId === null && areAllTagged(report)) await rememberAllTagged(database);
      return { ...report, interrupted: signal.aborted, deadLetters: deadLetters.map(deadLetterLine) };
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (signal.aborted) return NOTHING;
    throw error;
  } finally {
    progress.stop();
  }
}

function writes({ repair, accept, restore }: Options): boolean {
  return (repair ?? accept ?? restore) === true;
}

function wishOf({ repair, accept, restore }: Options): RepairWish {
  return { repair: repair === true, changed: accept ? 'accept' : restore ? 'restore' : null };
}

/** It was stopped while it waited for something. */
const NOTHING: Report = {
  checked: { connections: 0, secrets: 0, external: 0, listed: 0 },
  skipped: { busy: 0, inDoubt: 0, unknownConnections: 0, otherInstallations: 0 },
  findings: [],
  interrupted: true,
  deadLetters: [],
};

function asJson(found: Finding): object {
  const { meaning, remedy } = FINDING_KINDS[found.kind];
  return { ...found, meaning, remedy: isSettled(found) ? null : remedy };
}

function asText({ checked, skipped, findings, deadLetters }: Report): string {
  const counts = [
    `${checked.connections} connections, ${checked.secrets} secrets, ${checked.external} references of users`,
    `${checked.listed} secrets with our tags in the store`,
  ].join('; ');
  const notes = [
    skipped.busy > 0 ? `${skipped.busy} connections were worked on all the time: run it again.` : null,
    skipped.inDoubt > 0
      ? `${skipped.inDoubt} secrets are in doubt: a worker looks at them, or the next run of pipe.`
      : null,
    skipped.unknownConnections > 0
      ? `${skipped.unknownConnections} secrets below our prefix are of connections that this database does not know: left alone.`
      : null,
    skipped.otherInstallations > 0
      ? `${skipped.otherInstallations} secrets below our prefix belong to another installation: left alone.`
      : null,
    deadLetters.length > 0
      ? `${deadLetters.length} dead letters were made: connection-secrets dead-letters list.`
      : null,
  ].filter((note) => note !== null);
  const head = [`Looked at ${counts}.`, ...notes];
  if (findings.length === 0) return [...head, 'All is well.'].join('\n');
  const table = formatTable(
    ['FINDING', 'STATE', 'CONNECTION', 'FIELD', 'SECRET ID', 'DETAIL'],
    findings.map((row) => [row.kind, row.state, row.connectionId, row.path, row.secretId, row.detail]),
  );
  const left = findings.filter((row) => !isSettled(row));
  const hints = [...new Set(left.map(({ kind }) => kind))].map(
    (kind) => `${kind}: ${FINDING_KINDS[kind].meaning} ${FINDING_KINDS[kind].remedy}`,
  );
  const verdict =
    left.length === 0 ? 'All is repaired.' : `${left.length} of ${findings.length} findings are left.`;
  return [...head, '', table, '', verdict, ...hints].join('\n');
}
