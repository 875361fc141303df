import type { ReplayRecord } from '../operations/replay/record.js';
import { formatTable, isoTime } from './text.js';

/** What `--json` says of a replay. */
export function replayJson({
  id,
  state,
  plan,
  positions,
  totals,
  createdAtMs,
  updatedAtMs,
}: ReplayRecord): object {
  const { start, selection, group } = plan;
  return {
    operation: id,
    state,
    start: start.kind === 'time' ? { kind: 'time', time: isoTime(start.timeMs) } : start,
    selection,
    group,
    ...totals,
    positions,
    created: isoTime(createdAtMs),
    updated: isoTime(updatedAtMs),
  };
}

export function replayTable(records: readonly ReplayRecord[]): string {
  if (records.length === 0) return 'There has been no replay.';
  return formatTable(
    ['ID', 'STATE', 'RECORDS', 'LEFT', 'EVENTS', 'WRITES', 'STARTED', 'UPDATED'],
    records.map((record) => [
      record.id.slice(0, 8),
      record.state,
      sum(record.positions.map(({ from, end }) => end - from)),
      sum(record.positions.map(({ position, end }) => end - position)),
      sum(Object.values(record.totals.outcomes)),
      record.totals.writes,
      isoTime(record.createdAtMs),
      isoTime(record.updatedAtMs),
    ]),
  );
}

/** How a replay ended, for people. */
export function replayText(record: ReplayRecord): string {
  const { positions, totals } = record;
  const counts = Object.entries(totals.outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  const filtered = totals.filtered === 0 ? [] : [`${totals.filtered} left out`];
  const said = [...counts, ...filtered].join(', ');
  return [
    `${said === '' ? 'no records' : said}; ${totals.writes} values written`,
    formatTable(
      ['TOPIC', 'PARTITION', 'FROM', 'POSITION', 'END'],
      positions.map(({ topic, partition, from, position, end }) => [topic, partition, from, position, end]),
    ),
  ].join('\n');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
