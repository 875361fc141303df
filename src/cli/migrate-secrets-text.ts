import type { PlannedMove } from '../operations/migrate/preview.js';
import type { MigrationRecord } from '../upkeep/migration-record.js';
import type { ManagerName } from '../terms.js';
import type { MigrationStatus } from './migrate-secrets-run.js';
import { formatTable, isoTime } from './text.js';

/** Of so many connections each is named in a table; JSON has them all. */
const LISTED = 50;

export function recordJson({ id, state, request, by, progress, createdAtMs, updatedAtMs }: MigrationRecord) {
  return {
    id,
    state,
    ...request,
    by,
    ...progress,
    created: isoTime(createdAtMs),
    updated: isoTime(updatedAtMs),
  };
}

export function recordText({ state, request, progress }: MigrationRecord): string {
  const { moved, total, left, failures, unsent, deleted, kept } = progress;
  const lines = [`${moved} of ${total} connections moved to ${request.to}${WORDS[state]}`];
  const byOthers = total - left - moved;
  if (byOthers > 0) lines.push(`${byOthers} were moved by events and workers meanwhile`);
  if (failures.length > 0) lines.push(failureTable(failures), `${failures.length} could not be moved`);
  if (unsent > 0)
    lines.push(`${unsent} secured events wait in the database: the next \`start\` publishes them`);
  if (request.deleteSource) {
    lines.push(`${deleted} secrets deleted from where they were`);
    if (kept > 0)
      lines.push(
        `${kept} are still there: referred to by name, in doubt, or of a manager that cannot be opened`,
      );
  } else if (moved > 0)
    lines.push('What they left is deleted after SECRET_DELETION_GRACE_SECONDS, by the workers.');
  return lines.join('\n');
}

const WORDS = { running: '', interrupted: ' so far', done: '', failed: '' } as const;

function failureTable(failures: MigrationRecord['progress']['failures']): string {
  return formatTable(
    ['CONNECTION', 'NAME', 'CODE', 'DETAIL'],
    failures
      .slice(0, LISTED)
      .map(({ connectionId, name, code, detail }) => [connectionId, name, code, detail]),
  );
}

export function previewText(to: ManagerName, planned: readonly PlannedMove[]): string {
  const fit = planned.filter(({ problem }) => problem === null);
  const unfit = planned.filter(({ problem }) => problem !== null);
  const sum = (of: (one: PlannedMove) => number): number =>
    planned.reduce((total, one) => total + of(one), 0);
  const lines = [
    formatTable(
      ['CONNECTION', 'NAME', 'FROM', 'VALUES', 'EXTERNAL', 'PROBLEM'],
      [...unfit, ...fit]
        .slice(0, LISTED)
        .map(({ connectionId, name, from, values, external, problem }) => [
          connectionId,
          name,
          from,
          values,
          external,
          problem === null ? null : `${problem.code}: ${problem.detail}`,
        ]),
    ),
    `${fit.length} connections with ${sum(({ values }) => values)} values would be moved to ${to}, ${unfit.length} could not be`,
  ];
  const external = sum((one) => one.external);
  if (external > 0)
    lines.push(`${external} references of users stay as they are: they are looked up in ${to} from then on`);
  return planned.length === 0 ? `Nothing would be moved: everything is in ${to}` : lines.join('\n');
}

export function statusText({ active, former, connections, migrations }: MigrationStatus): string {
  return [
    `active: ${active ?? '-'}${former.length === 0 ? '' : `, before: ${former.join(', ')}`}`,
    formatTable(
      ['KEPT IN', 'CONNECTIONS'],
      connections.map(({ manager, count }) => [manager, count]),
    ),
    ...(migrations.length === 0 ? [] : ['', migrationTable(migrations as ReturnType<typeof recordJson>[])]),
  ].join('\n');
}

function migrationTable(migrations: readonly ReturnType<typeof recordJson>[]): string {
  return formatTable(
    ['ID', 'STATE', 'TO', 'MOVED', 'OF', 'FAILED', 'SINCE', 'BY'],
    migrations.map(({ id, state, to, moved, total, failures, created, by }) => [
      id.slice(0, 8),
      state,
      to,
      moved,
      total,
      failures.length,
      created,
      by,
    ]),
  );
}
