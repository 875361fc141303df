import type { ConnectionPreview, DryRunReport } from '../operations/replay/dry-run/run.js';
import type { ReplayTotals } from '../operations/replay/counts.js';
import type { PartitionPosition } from '../operations/replay/positions.js';
import type { EventsReplay, ReplayRecord, SecuredReplay } from '../operations/replay/record.js';
import { counted } from '../plural.js';
import { isoTime, type Look } from './text.js';

/** A replay as JSON. */
export function replayJson(record: ReplayRecord) {
  const { id, of, state, createdAtMs, updatedAtMs } = record;
  const head = { id, state, createdAt: isoTime(createdAtMs), updatedAt: isoTime(updatedAtMs) };
  if (of === 'secured') {
    const { parameters: selection, progress } = record;
    const { published, tooLarge, refused = [], unopened = [] } = progress;
    return { ...head, of, selection, published, tooLarge, refused, unopened };
  }
  const { start, selection, group } = record.parameters;
  const { positions, totals } = record.progress;
  return {
    ...head,
    of,
    start: start.kind === 'time' ? { kind: start.kind, time: isoTime(start.timeMs) } : start,
    selection,
    group,
    ...totals,
    positions,
  };
}

type Replay = ReturnType<typeof replayJson>;

export const REPLAY_COLUMNS = {
  ID: ({ id }: Replay) => id.slice(0, 8),
  OF: ({ of }: Replay) => of,
  STATE: ({ state }: Replay) => state,
  DONE: doneOf,
  LEFT: leftOf,
  STARTED: ({ createdAt }: Replay) => createdAt,
  UPDATED: ({ updatedAt }: Replay) => updatedAt,
};

function doneOf(replay: Replay): number {
  if (replay.of === 'secured') return replay.published;
  return sum(replay.positions.map(({ from, position }) => position - from));
}

/** Of states that are published again nobody has counted what is left. */
function leftOf(replay: Replay): number | null {
  if (replay.of === 'secured') return null;
  return sum(replay.positions.map(({ position, end }) => end - position));
}

/** How a replay ended, for people. */
export function replayText(record: ReplayRecord, look: Look): string {
  return record.of === 'secured' ? securedText(record) : eventsText(record, look);
}

function eventsText({ progress: { positions, totals } }: EventsReplay, look: Look): string {
  return [
    `${countsText(totals)}; ${counted(totals.writes, 'value')} written`,
    positionsTable(positions, look),
  ].join('\n');
}

function countsText({ outcomes, filtered, deleted = 0 }: ReplayTotals): string {
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  const said = [
    ...counts,
    ...(filtered === 0 ? [] : [`${filtered} left out`]),
    ...(deleted === 0 ? [] : [`${deleted} deleted by Kafka before they were read`]),
  ];
  return said.length === 0 ? 'no records' : said.join(', ');
}

function positionsTable(positions: readonly PartitionPosition[], look: Look): string {
  return look.table(
    ['TOPIC', 'PARTITION', 'FROM', 'POSITION', 'END'],
    positions.map(({ topic, partition, from, position, end }) => [topic, partition, from, position, end]),
  );
}

/** What a dry run found, as JSON: every connection that would change. */
export function dryRunJson({ isWhole, positions, totals, connections }: DryRunReport): object {
  return { dryRun: true, of: 'events', isWhole, ...totals, positions, connections };
}

/** So many connections are listed for people; JSON has all. */
const LISTED = 50;

export function dryRunText({ positions, totals, connections }: DryRunReport, look: Look): string {
  const more = connections.length - LISTED;
  return [
    `${countsText(totals)}; ${counted(totals.writes, 'value')} would be written`,
    connections.length === 0
      ? 'No connection would change.'
      : look.table(
          ['CONNECTION', 'KIND', 'NAME', 'STATE', 'REVISION', 'WRITES', 'EVENTS'],
          connections.slice(0, LISTED).map(connectionRow),
        ),
    ...(more > 0 ? [`… and ${more} more: --output json has them`] : []),
    positionsTable(positions, look),
  ].join('\n');
}

function connectionRow(preview: ConnectionPreview): (string | number | null)[] {
  const { connectionId, kind, name, before, after, writes, outcomes } = preview;
  const events = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  return [
    connectionId,
    kind,
    name,
    fromTo(before?.state, after?.state),
    fromTo(before?.revision, after?.revision),
    writes,
    events.join(', '),
  ];
}

function fromTo(before: string | number | undefined, after: string | number | undefined): string {
  return before === after ? String(after ?? '-') : `${before ?? '-'} → ${after ?? '-'}`;
}

/** How many would be published again, by their state. */
export function securedPreviewText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  return parts.length === 0 ? 'There are no connections.' : `would be published again: ${parts.join(', ')}`;
}

function securedText({ progress }: SecuredReplay): string {
  const { published, tooLarge, refused = [], unopened = [] } = progress;
  const of = (ids: readonly string[], what: string): string[] => ids.map((id) => `${id}: ${what}`);
  return [
    `${published} published again`,
    ...of(tooLarge, 'OUTPUT_TOO_LARGE, not published'),
    ...of(refused, 'names a secret that it may not name, not published (verify shows the field)'),
    ...of(unopened, 'KEY_MISSING, an unsent record that no key of FERNET_KEY opens is left out'),
  ].join('\n');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
