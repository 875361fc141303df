/**
 * What the source topics hold for the one connection of the model, in the notation of the counter-examples: the topic
 * `created`, a bar, the topic `updated`; `A`, `B` texts, `m` a mask, `n` null, `D` a hard deletion. `A,m|B` is v1 = A and
 * v3 = mask on `created`, v2 = B on `updated`: the events are numbered by their order (time, version).
 */
export type EventKind = 'A' | 'B' | 'm' | 'n' | 'D';

export interface HistoryEvent {
  readonly kind: EventKind;
  /** From 1: a larger one is the newer state. */
  readonly order: number;
  readonly partition: 0 | 1;
  readonly offset: number;
}

export interface History {
  readonly text: string;
  /** In their order; the place in this list is the event's number in every other file. */
  readonly events: readonly HistoryEvent[];
  /** Numbers of the events of each partition, by offset. */
  readonly partitions: readonly (readonly number[])[];
}

/** Those of the protocol's page; each is explored with both stores. */
export const HISTORIES = ['A|B', 'A|B,A', 'A,A|B', 'A|D', 'A|n,A', 'A,m|B', 'A|m', 'A|B,D'] as const;

const KINDS: ReadonlySet<string> = new Set<EventKind>(['A', 'B', 'm', 'n', 'D']);

/** Throws a RangeError for a text that is no history. */
export function parseHistory(text: string): History {
  const sides = text.split('|').map((side) => side.split(',').filter((word) => word !== ''));
  if (sides.length !== 2 || sides.flat().some((word) => !KINDS.has(word)))
    throw new RangeError(`not a history: ${text}`);
  const [created = [], updated = []] = sides as EventKind[][];
  // The first of the longer topic's surplus comes last: v1 | v2, v3 and v1, v3 | v2.
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

/** What a reader of the server would see, once these events have all been accepted. */
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
