/**
 * The events of the connection in the source topics, in the notation of the counter-examples: the topic `created`, a bar,
 * the topic `updated`; `A`, `B` texts, `m` a mask, `n` null, `D` a hard deletion. The events are numbered by their order
 * (time, version): `A,m|B` is v1 = A and v3 = mask on `created`, v2 = B on `updated`.
 */
export type EventKind = 'A' | 'B' | 'm' | 'n' | 'D';

export interface HistoryEvent {
  readonly kind: EventKind;
  /** From 1. A larger number is a newer state. */
  readonly order: number;
  readonly partition: 0 | 1;
  readonly offset: number;
}

export interface History {
  readonly text: string;
  /** In their order. Other files number an event by its place in this list. */
  readonly events: readonly HistoryEvent[];
  /** For each partition: the numbers of its events, by offset. */
  readonly partitions: readonly (readonly number[])[];
}

/** The histories to explore, each with both stores. */
export const HISTORIES = ['A|B', 'A|B,A', 'A,A|B', 'A|D', 'A|n,A', 'A,m|B', 'A|m', 'A|B,D'] as const;

const KINDS: ReadonlySet<string> = new Set<EventKind>(['A', 'B', 'm', 'n', 'D']);

/** @throws RangeError if the text is not a history */
export function parseHistory(text: string): History {
  const sides = text.split('|').map((side) => side.split(',').filter((word) => word !== ''));
  if (sides.length !== 2 || sides.flat().some((word) => !KINDS.has(word)))
    throw new RangeError(`not a history: ${text}`);
  const [created = [], updated = []] = sides as EventKind[][];
  // The topics take turns: `v1 | v2, v3` and `v1, v3 | v2`.
  const events: HistoryEvent[] = [];
  const longest = Math.max(created.length, updated.length);
  for (let offset = 0; offset < longest; offset += 1)
    for (const [partition, side] of [created, updated].entries()) {
      const kind = side[offset];
      if (kind !== undefined)
        events.push({ kind, order: events.length + 1, partition: partition as 0 | 1, offset });
    }
  const numbersOf = (partition: number): number[] =>
    events.flatMap((event, number) => (event.partition === partition ? [number] : []));
  return { text, events, partitions: [numbersOf(0), numbersOf(1)] };
}

/** What a reader of the metadata server sees once it has accepted all these events. */
export function expectedState(
  history: History,
  isAccepted: (event: number) => boolean,
): { readonly order: number; readonly isDeleted: boolean; readonly value: string | null } {
  let order = 0;
  let value: string | null = null;
  let isDeleted = false;
  history.events.forEach((event, number) => {
    if (!isAccepted(number)) return;
    order = event.order;
    if (event.kind === 'D') isDeleted = true;
    if (event.kind === 'n' || event.kind === 'D') value = null;
    else if (event.kind !== 'm') value = event.kind;
  });
  return { order, isDeleted, value };
}
