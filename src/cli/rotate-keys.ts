import type { Command } from 'commander';
import { loadConfig, type Config } from '../config.js';
import type { Database } from '../database/database.js';
import type { AuditRow } from '../database/rows.js';
import { ERROR_CODES, ConfigurationError } from '../errors.js';
import type { PlaceReport, RotationPosition, RotationReport } from '../operations/rotate-keys.js';
import type { PlaceCounts } from '../operations/token-counts.js';
import { operatorName } from '../operator.js';
import { auditRow } from '../pipeline/audit.js';
import type { JsonObject } from '../terms.js';
import { EXIT, printJson, printLine, type Cli, type Done, type ExitCode } from './cli.js';
import { howToResume, showProgress } from './progress.js';
import { readDatabase } from './read-database.js';
import { stopSignals } from './signals.js';
import { examples, formatTable } from './text.js';
import { writeDatabase } from './write-database.js';

interface Options {
  readonly dryRun?: true;
  readonly json?: true;
}

export function defineRotateKeys(program: Command, cli: Cli, done: Done): void {
  program
    .command('rotate-keys')
    .description('seal everything anew with the first key of each list, so that the others can go')
    .option('--dry-run', 'only count what was sealed with which key; also beside a worker on SQLite')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('rotate-keys --dry-run', 'rotate-keys', 'rotate-keys --json') +
        '\n\nThe order of the steps around it: docs/operations.md, “Changing keys”.' +
        '\nExit codes: 0 nothing needs an old key any more (--dry-run: everything can be opened), 1 something still does,' +
        '\nor it was interrupted (run it again), 2 wrong use or configuration.',
    )
    .action(async (options: Options) => {
      const config = loadConfig(cli.env, { need: ['keys'] });
      const stop = stopSignals(null);
      try {
        done(
          options.dryRun
            ? await preview(cli, config, options, stop.signal)
            : await rotate(cli, config, options, stop.signal),
        );
      } finally {
        stop.release();
      }
    });
}

async function preview(
  cli: Cli,
  config: Config<'keys'>,
  { json }: Options,
  signal: AbortSignal,
): Promise<ExitCode> {
  const places = await readDatabase(config, async (database) => {
    await requireKeys(config, database);
    const { rotationSources } = await import('./rotation-parts.js');
    const { previewRotation } = await import('../operations/rotation-preview.js');
    return previewRotation(await rotationSources(config, database), signal);
  });
  if (signal.aborted) {
    cli.stderr.write('Stopped; a dry run changes nothing.\n');
    return EXIT.failed;
  }
  const old = sum(places, 'old');
  const unknown = sum(places, 'unknown');
  if (json) printJson(cli, { dryRun: true, old, unknown, places });
  else printLine(cli, `${countsTable(places)}\n\n${verdict(old, unknown, 'would be sealed anew')}`);
  return unknown > 0 ? EXIT.failed : EXIT.ok;
}

async function rotate(
  cli: Cli,
  config: Config<'keys'>,
  { json }: Options,
  signal: AbortSignal,
): Promise<ExitCode> {
  const report = await writeDatabase(config, async (database) => {
    const { requireCurrentSchema } = await import('../database/schema.js');
    await requireCurrentSchema(database);
    await requireKeys(config, database);
    return runRotation(cli, config, database, signal);
  });
  if (report.interrupted) {
    cli.stderr.write(howToResume('rotate-keys'));
    if (json) printJson(cli, report);
    return EXIT.failed;
  }
  if (json) printJson(cli, report);
  else printLine(cli, asText(report));
  return report.complete ? EXIT.ok : EXIT.failed;
}

async function runRotation(
  cli: Cli,
  config: Config<'keys'>,
  database: Database,
  signal: AbortSignal,
): Promise<RotationReport> {
  const { loadIdentity } = await import('../database/settings.js');
  const { DatabaseLedger } = await import('../database/ledger.js');
  const { UnderClaim } = await import('../pipeline/under-claim.js');
  const { updateOperation } = await import('../database/operations.js');
  const { KeyRotation } = await import('../operations/rotate-keys.js');
  const { rotationSources } = await import('./rotation-parts.js');
  const { securedContexts } = await import('../operations/secured-contexts.js');
  const { keys, secretsManager, claims } = config;
  const identity = await loadIdentity(database, keys, secretsManager.name);
  const clock = (): number => performance.now();
  const ledger = new DatabaseLedger(database, {
    ...{ claimMs: claims.claimMs, managerEpoch: identity.managerEpoch, clock },
  });
  const contexts = securedContexts(config, identity);
  const { id, from } = await openRotation(database, parametersOf(config));
  const progress = showProgress(cli, { title: 'rotating', unit: 'tokens' });
  const rotation = new KeyRotation({
    ...(await rotationSources(config, database)),
    keys,
    fingerprintKey: identity.fingerprintKey,
    underClaim: new UnderClaim({ ledger, outlet: null, ring: keys.outbox, clock }),
    securedContext: (name) => contexts.of(name),
    claimMs: claims.claimMs,
    onPosition: ({ step, after }) => updateOperation(database, id, { progress: { step, after } }),
    progress,
    ingestion: keys.ingestion,
  });
  try {
    const report = await rotation.run(from, signal);
    await updateOperation(database, id, {
      state: report.interrupted ? 'interrupted' : report.complete ? 'done' : 'failed',
    });
    if (report.rotated > 0) await ledger.append([{ audit: [auditOf(report, keys.database.primaryKeyId)] }]);
    return report;
  } finally {
    progress.stop();
    await contexts.close();
  }
}

/** The rotation that was begun with the same keys and did not come to its end, or a new one. */
async function openRotation(
  database: Database,
  parameters: JsonObject,
): Promise<{ id: string; from: RotationPosition | null }> {
  const { beginOperation, unfinishedOperation, updateOperation } = await import('../database/operations.js');
  const open = await unfinishedOperation(database, 'rotate-keys');
  if (open !== null && JSON.stringify(open.parameters) === JSON.stringify(parameters)) {
    await updateOperation(database, open.id, { state: 'running' });
    return { id: open.id, from: open.progress as unknown as RotationPosition | null };
  }
  // Begun with other keys: the new one does its work.
  if (open !== null) await updateOperation(database, open.id, { state: 'failed' });
  const { id } = await beginOperation(database, 'rotate-keys', parameters, null);
  return { id, from: null };
}

function auditOf({ rotated }: RotationReport, keyId: string): AuditRow {
  return auditRow({
    atMs: Date.now(),
    action: 'rotate',
    actor: operatorName(),
    connectionId: null,
    path: null,
    secretId: null,
    eventId: null,
    detail: `${rotated} sealed anew; FERNET_KEY seals with ${keyId}`,
  });
}

/** Ids of the keys that seal: a rotation to other ones is another rotation. */
function parametersOf({ keys: { database, deadLetter, ingestion } }: Config<'keys'>): JsonObject {
  return {
    FERNET_KEY: database.primaryKeyId,
    DEAD_LETTER_FERNET_KEY: deadLetter.primaryKeyId,
    INGESTION_FERNET_KEY: ingestion.primaryKeyId,
  };
}

/** The check of a start, without making anything: a database that was never started on has nothing to rotate. */
async function requireKeys({ keys }: Config<'keys'>, database: Database): Promise<void> {
  const { opensKeyCheck, readIdentity } = await import('../database/settings.js');
  const identity = await readIdentity(database);
  if (identity === null)
    throw new ConfigurationError('CONFIG_INVALID', 'nothing is sealed yet: there was no first start');
  if (!opensKeyCheck(keys.database, identity.keyCheck))
    throw new ConfigurationError(
      'KEY_MISMATCH',
      `FERNET_KEY does not open what this database holds: put the new key first and keep the old one behind it. ${ERROR_CODES.KEY_MISMATCH.remedy}`,
    );
}

function asText({ places, rotated, refused }: RotationReport): string {
  const table = formatTable(
    ['PLACE', 'KEYS', 'SEALED ANEW', 'FIRST KEY', 'OLD KEY', 'NO KEY'],
    places.map((row: PlaceReport) => [row.place, row.keys, row.rotated, row.current, row.old, row.unknown]),
  );
  const old = sum(places, 'old');
  const sealed = `${table}\n\n${rotated} sealed anew. ${verdict(old, sum(places, 'unknown'), 'are left: a worker holds them, or still seals with the old key. Run it again')}`;
  const left = refused.map(
    ({ connectionId, code, detail }) => `${connectionId}: ${code}, not published anew: ${detail}`,
  );
  return [sealed, ...left].join('\n');
}

function countsTable(places: readonly PlaceCounts[]): string {
  return formatTable(
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
