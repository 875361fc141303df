import { loadConfig, type Config } from '../config.js';
import type { RotationReport } from '../operations/rotate-keys.js';
import type { PlaceCounts } from '../operations/token-counts.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { command, option } from './define-command.js';
import type { Answer } from './output.js';
import { DRY_RUN_STOPPED, howToResume, showingProgress } from './progress.js';
import { untilStopped } from './signals.js';
import type { Look } from './text.js';

export const rotateKeys = command<{ readonly dryRun?: true }>({
  name: 'rotate-keys',
  about: 'seal everything anew with the first key of each list, so that the others can go',
  options: [option('--dry-run', 'only count what was sealed with which key; also beside a worker on SQLite')],
  examples: ['rotate-keys --dry-run', 'rotate-keys', 'rotate-keys --json'],
  notes: 'The order of the steps around it: docs/keys.md.',
  isAudited: true,
  exits: [
    'nothing needs an old key any more (--dry-run: everything can be opened)',
    'something still does, or it was interrupted (run it again)',
  ],
  run: (cli, { dryRun }) => {
    const config = loadConfig(cli.env, { need: ['keys'] });
    return dryRun ? preview(cli, config) : rotate(cli, config);
  },
});

function preview(cli: Cli, config: Config<'keys'>): Promise<Answer | ExitCode> {
  return untilStopped(async (signal) => {
    const { countTokens } = await import('../operations/rotation-run.js');
    const places = await countTokens(config, signal);
    if (signal.aborted) {
      cli.stderr.write(`${DRY_RUN_STOPPED}\n`);
      return EXIT.failed;
    }
    const old = sum(places, 'old');
    const unknown = sum(places, 'unknown');
    return {
      json: { dryRun: true, old, unknown, places },
      text: (look) => `${countsTable(places, look)}\n\n${verdict(old, unknown, 'would be sealed anew')}`,
      code: unknown > 0 ? EXIT.failed : EXIT.ok,
    };
  });
}

async function rotate(cli: Cli, config: Config<'keys'>): Promise<Answer> {
  const shown = { title: 'rotating', unit: 'tokens' };
  const report = await showingProgress(cli, shown, async (progress, signal) => {
    const { runRotation } = await import('../operations/rotation-run.js');
    return runRotation(config, progress, signal);
  });
  return {
    json: report,
    note: report.interrupted ? howToResume('rotate-keys') : undefined,
    text: (look) => (report.interrupted ? null : asText(report, look)),
    code: report.complete && !report.interrupted ? EXIT.ok : EXIT.failed,
  };
}

function asText({ places, rotated, refused }: RotationReport, look: Look): string {
  const table = look.table(
    ['PLACE', 'KEYS', 'SEALED ANEW', 'FIRST KEY', 'OLD KEY', 'NO KEY'],
    places.map((row) => [row.place, row.keys, row.rotated, row.current, row.old, row.unknown]),
  );
  const old = sum(places, 'old');
  const sealed = `${table}\n\n${rotated} sealed anew. ${verdict(old, sum(places, 'unknown'), 'are left: a worker holds them, or still seals with the old key. Run it again')}`;
  const left = refused.map(
    ({ connectionId, code, detail }) => `${connectionId}: ${code}, not published anew: ${detail}`,
  );
  return [sealed, ...left].join('\n');
}

function countsTable(places: readonly PlaceCounts[], look: Look): string {
  return look.table(
    ['PLACE', 'KEYS', 'FIRST KEY', 'OLD KEY', 'NO KEY'],
    places.map((row) => [row.place, row.keys, row.current, row.old, row.unknown]),
  );
}

function verdict(old: number, unknown: number, what: string): string {
  const lost =
    unknown > 0
      ? ` ${unknown} can be opened by no key of their list: add the key that made them to the list and run it again.`
      : '';
  return (old > 0 ? `${old} of an old key ${what}.` : 'Nothing needs an old key.') + lost;
}

function sum(places: readonly PlaceCounts[], member: 'old' | 'unknown'): number {
  return places.reduce((total, counts) => total + counts[member], 0);
}
