import { InvalidArgumentError } from 'commander';
import { loadConfig } from '../config.js';
import { CONFLICTS } from '../operations/adopt/claims.js';
import type { AdoptCandidate, AdoptPlan } from '../operations/adopt/plan.js';
import type { AdoptReport } from '../operations/adopt/run.js';
import { counted } from '../plural.js';
import { EXIT } from './cli.js';
import { command, option } from './define-command.js';
import { commandLogger } from './logging.js';
import { untilStopped } from './signals.js';
import type { Look } from './text.js';

interface Options {
  readonly dryRun?: true;
  readonly choose?: ReadonlyMap<string, string>;
}

export const adopt = command<Options>({
  name: 'adopt',
  about: 'take over secrets that exist in the store without our tags, after looking at all who claim them',
  options: [
    option('--dry-run', 'print who claims what, and what would be taken over; change nothing'),
    option(
      '--choose <secret-id=connection-id>',
      'whose a secret is that several claim; may be given several times',
      choice,
    ),
  ],
  examples: [
    'adopt --dry-run',
    'adopt',
    'adopt --choose /openmetadata/database/prod_db/password=4f1c2a7e-0d7b-4a55-9a2b-1f2d3c4b5a69',
  ],
  notes:
    'It works on kept events (`dead-letters list`) with the codes ADOPTION_AMBIGUOUS, SECRET_NOT_OWNED and' +
    '\nREFERENCE_FOREIGN. It only sees connections whose events were handled: run it when the lag is 0.',
  isAudited: true,
  exits: ['nothing is left', 'something is left, with its remedy'],
  run: (cli, options) =>
    untilStopped(async (signal) => {
      const config = loadConfig(cli.env, { need: ['keys'] });
      const { previewAdoption, runAdoption } = await import('../operations/adopt/run.js');
      const chosen = options.choose ?? new Map<string, string>();
      const request = { config, logger: commandLogger(cli, config), chosen, signal };
      const report = options.dryRun ? await previewAdoption(request) : await runAdoption(request);
      return {
        json: asJson(report),
        text: (look) => asText(report, look),
        code: isDone(report) && !signal.aborted ? EXIT.ok : EXIT.failed,
      };
    }),
});

/** `ID=CONNECTION`: an id may contain `=`, a connection's id does not. */
function choice(text: string, before: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> {
  const at = text.lastIndexOf('=');
  if (at <= 0 || at === text.length - 1 || text.length > 4096)
    throw new InvalidArgumentError('A secret id and a connection id are needed, with = between them.');
  return new Map([...(before ?? []), [text.slice(0, at), text.slice(at + 1)]]);
}

function isDone({ plan, applied, isDryRun }: AdoptReport): boolean {
  const isApplied = isDryRun || applied === plan.events.length;
  return plan.left === 0 && plan.unread === 0 && isApplied;
}

function asJson(report: AdoptReport): object {
  const { plan, applied, isDryRun } = report;
  return {
    ok: isDone(report),
    dryRun: isDryRun,
    secrets: plan.candidates.map(({ secretId, claimants, verdict }) => ({
      secretId,
      ...verdict,
      ...(verdict.kind === 'conflict' ? CONFLICTS[verdict.reason] : {}),
      claimants,
    })),
    events: plan.events.map(({ eventHash: id, connectionId }) => ({ id, connectionId })),
    applied,
    left: plan.left,
    unread: plan.unread,
  };
}

function asText({ plan, applied, isDryRun }: AdoptReport, look: Look): string {
  if (plan.candidates.length === 0 && plan.unread === 0)
    return 'No kept event waits for the adoption of a secret.';
  return [
    claimTable(plan, look),
    '',
    isDryRun
      ? `${counted(plan.events.length, 'kept event')} would be applied, ${plan.left} would be left.`
      : `${applied} of ${counted(plan.events.length, 'kept event')} applied, ${plan.left} left.`,
    ...(plan.unread > 0
      ? [
          `${counted(plan.unread, 'kept event')} cannot be read: nobody knows what is claimed there. See \`dead-letters list\`.`,
        ]
      : []),
    ...remedies(plan.candidates),
  ].join('\n');
}

function claimTable({ candidates }: AdoptPlan, look: Look): string {
  return look.table(
    ['SECRET ID', 'VERDICT', 'CONNECTION', 'NAME', 'TYPE', 'CLAIM', 'FIELD'],
    candidates.flatMap(({ secretId, claimants, verdict }) =>
      claimants.map(({ connectionId, name, entityType, kind, path }) => [
        secretId,
        verdictText(verdict, connectionId),
        connectionId,
        name,
        entityType,
        kind,
        path,
      ]),
    ),
  );
}

function verdictText(verdict: AdoptCandidate['verdict'], connectionId: string): string {
  if (verdict.kind === 'conflict') return `conflict: ${verdict.reason}`;
  return verdict.connectionId === connectionId ? 'adopt' : 'not chosen';
}

function remedies(candidates: readonly AdoptCandidate[]): string[] {
  const reasons = new Set(
    candidates.flatMap(({ verdict }) => (verdict.kind === 'conflict' ? [verdict.reason] : [])),
  );
  return [...reasons].map((reason) => `${reason}: ${CONFLICTS[reason].meaning} ${CONFLICTS[reason].remedy}`);
}
