import { Option } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import { deadLetterLine } from '../observability/event-log.js';
import { isSettled, FINDING_KINDS, type Finding } from '../operations/verify/finding.js';
import type { RepairWish } from '../operations/verify/repair.js';
import type { VerifyRunReport } from '../operations/verify/run.js';
import { counted } from '../plural.js';
import { EXIT } from './cli.js';
import { command, option } from './define-command.js';
import { wholeNumber } from './parse.js';
import { showingProgress } from './progress.js';
import type { Look } from './text.js';

interface Options {
  readonly repair?: true;
  readonly accept?: true;
  readonly restore?: true;
  readonly connection?: string;
  readonly readsPerSecond: number;
}

export const verify = command<Options>({
  name: 'verify',
  about: 'compare the database with the store, both ways: missing, changed, orphaned, wrongly tagged',
  options: [
    option('--repair', 'repair what is safe, each under its connection’s claim; the rest is explained'),
    option('--accept', 'what was changed in the store, by a rotation there, is the newest value from now on'),
    option('--restore', 'what was changed in the store gets our last value back'),
    new Option('--connection <id>', 'only this connection'),
    option('--reads-per-second <number>', 'requests that read the store', wholeNumber(1, 10_000), 20),
  ],
  examples: ['verify', 'verify --repair', 'verify --accept --connection 4f1c…', 'verify --json'],
  notes:
    'Without --repair, --accept or --restore it only reads, also beside a worker on SQLite. What it can find: docs/cli.md.',
  isAudited: true,
  exits: ['all well, or all repaired', 'something is left, or could not be looked at'],
  run: async (cli, options) => {
    const wish = wishOf(options);
    const config = loadConfig(cli.env, { need: ['keys'] });
    const { connection: connectionId = null, readsPerSecond } = options;
    const shown = { title: 'verifying', unit: 'connections' };
    const report = await showingProgress(cli, shown, async (progress, signal) => {
      const { runVerification } = await import('../operations/verify/run.js');
      return runVerification({ config, connectionId, readsPerSecond, wish, progress, signal });
    });
    const { interrupted, skipped, findings, deadLetters } = report;
    const ok = !interrupted && skipped.busy === 0 && findings.every(isSettled);
    return {
      note: interrupted
        ? 'Stopped at a safe point; what was repaired stays. Run it again to look at the rest.'
        : undefined,
      json: { ok, ...report, findings: findings.map(asJson), deadLetters: deadLetters.map(deadLetterLine) },
      text: (look) => asText(report, look),
      code: ok ? EXIT.ok : EXIT.failed,
    };
  },
});

function wishOf({ repair, accept, restore }: Options): RepairWish | null {
  if (accept && restore)
    throw new ConfigurationError('USAGE_INVALID', 'either --accept or --restore: one value can be right');
  if (!(repair ?? accept ?? restore)) return null;
  return { repair: repair === true, changed: accept ? 'accept' : restore ? 'restore' : null };
}

function asJson(found: Finding): object {
  const { meaning, remedy } = FINDING_KINDS[found.kind];
  return { ...found, meaning, remedy: isSettled(found) ? null : remedy };
}

function asText({ checked, skipped, findings, deadLetters }: VerifyRunReport, look: Look): string {
  const counts = [
    [
      counted(checked.connections, 'connection'),
      counted(checked.secrets, 'secret'),
      counted(checked.external, 'reference of users', 'references of users'),
    ].join(', '),
    `${counted(checked.listed, 'secret')} with our tags in the store`,
  ].join('; ');
  const noted: (readonly [number, string, string])[] = [
    [skipped.busy, 'connection', 'worked on all the time: run it again'],
    [skipped.inDoubt, 'secret', 'in doubt: a worker looks again, or the next run of pipe'],
    [
      skipped.unknownConnections,
      'secret',
      'below our prefix of connections that this database does not know: left alone',
    ],
    [skipped.otherInstallations, 'secret', 'below our prefix of another installation: left alone'],
    [deadLetters.length, 'dead letter', 'made: see connection-secrets dead-letters list'],
  ];
  const notes = noted.flatMap(([count, what, said]) =>
    count > 0 ? [`${counted(count, what)} ${said}.`] : [],
  );
  const head = [`Looked at ${counts}.`, ...notes];
  if (findings.length === 0) return [...head, 'All is well.'].join('\n');
  const table = look.table(
    ['FINDING', 'STATE', 'CONNECTION', 'FIELD', 'SECRET ID', 'DETAIL'],
    findings.map((row) => [row.kind, row.state, row.connectionId, row.path, row.secretId, row.detail]),
  );
  const left = findings.filter((row) => !isSettled(row));
  const hints = [...new Set(left.map(({ kind }) => kind))].map(
    (kind) => `${kind}: ${FINDING_KINDS[kind].meaning} ${FINDING_KINDS[kind].remedy}`,
  );
  const verdict =
    left.length === 0 ? 'All is repaired.' : `${left.length} of ${counted(findings.length, 'finding')} left.`;
  return [...head, '', table, '', verdict, ...hints].join('\n');
}
