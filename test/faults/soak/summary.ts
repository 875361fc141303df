import { cpus, totalmem } from 'node:os';
import { INVARIANTS } from '../checker/index.js';
import type { SoakResult } from './run.js';

/** Whether everything that a run promises is there. */
export function isGood({ violations, problems, ownEnds, steady }: SoakResult): boolean {
  return violations.length === 0 && problems.length === 0 && ownEnds.length === 0 && steady?.isFlat !== false;
}

/** A block of Markdown, as docs/test-runs.md has it. */
export function summary(result: SoakResult): string {
  const { options, steady, faults, outcomes } = result;
  const strikes = sumOf(faults);
  const rows: [string, string][] = [
    [
      'source events (records, with those that came twice)',
      `${whole(result.events)} (${whole(result.records)})`,
    ],
    ['connections', whole(result.connections)],
    ['seconds until all was settled', whole(result.seconds)],
    ['events a second', (result.events / result.seconds).toFixed(0)],
    ['faults', whole(strikes)],
    [
      'what became of them, of those published again and of records that are no events',
      `${[...outcomes].map(([name, count]) => `${name} ${whole(count)}`).join(', ')}: ${whole(sumOf(outcomes))} of ${whole(result.published)}`,
    ],
    ['whose record was deleted, perhaps unread', whole(result.deleted)],
    ['secured events in the topic', whole(result.secured)],
    ['processes started', whole(result.starts)],
    ['processes that ended by themselves', result.ownEnds.length === 0 ? '0' : result.ownEnds.join('; ')],
    ...(steady === null ? [] : memoryRows(steady)),
    ...Object.entries(INVARIANTS).map(([number, statement]): [string, string] => {
      const count = result.violations.filter(({ invariant }) => invariant === Number(number)).length;
      return [`(${number}) ${statement}`, count === 0 ? 'holds' : `VIOLATED, ${count} times`];
    }),
    ...result.problems.map((problem): [string, string] => ['problem', problem]),
  ];
  return [
    `\`npm run soak -- --minutes ${options.minutes} --events ${options.events} --connections ${options.connections} --seed ${options.seed} --database ${options.database} --manager ${options.manager} --workers ${options.workers}\``,
    '',
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.versions.node}; ${options.workers} workers, Kafka, ${options.database} and the AWS stand-in on the same machine.`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    '| fault | times |',
    '|---|---|',
    ...[...faults].sort(([, a], [, b]) => b - a).map(([name, count]) => `| ${name} | ${count} |`),
    '',
  ].join('\n');
}

function memoryRows(steady: NonNullable<SoakResult['steady']>): [string, string][] {
  const { rssMb, handles, rssMbPerHour, isFlat, seconds } = steady;
  const of = ({ first, last, max }: { first: number; last: number; max: number }): string =>
    `${first.toFixed(0)} / ${last.toFixed(0)} / ${max.toFixed(0)}`;
  return [
    [
      `memory of the steady worker (${seconds.toFixed(0)} s), MB: first third / last third / maximum`,
      of(rssMb),
    ],
    ['its slope after the warm-up, MB an hour', rssMbPerHour.toFixed(0)],
    ['its file handles: first third / last third / maximum', of(handles)],
    ['flat', isFlat === null ? 'too short to say' : isFlat ? 'yes' : 'NO'],
  ];
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

function whole(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}
