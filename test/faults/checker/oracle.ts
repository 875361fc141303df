import { isDeepStrictEqual } from 'node:util';
import type { FieldText, PublishedEvent } from './types.js';

const MASK = '*********';

/** `unknown`: what the events say depends on their arrival (a mask over a field that had been cleared). */
export type ExpectedField =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reference'; readonly reference: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown' };

/** What must be there of a connection. */
export interface ExpectedConnection {
  readonly state: 'live' | 'softDeleted' | 'deleted';
  readonly newest: PublishedEvent;
  /** By JSON Pointer; every field that any event of the connection named. */
  readonly fields: ReadonlyMap<string, ExpectedField>;
}

/**
 * The newest state of each connection, from what was published and accepted alone: by time, then version, a deletion
 * over its equals, then offset within a partition. Written from the design and on purpose not from the program.
 *
 * @throws where nothing in two different events tells which is the newer one: tests publish what can be told
 */
export function expectedConnections(
  accepted: readonly PublishedEvent[],
): ReadonlyMap<string, ExpectedConnection> {
  const byConnection = new Map<string, PublishedEvent[]>();
  for (const event of accepted) {
    if (event.connectionId === null) continue;
    const events = byConnection.get(event.connectionId) ?? [];
    events.push(event);
    byConnection.set(event.connectionId, events);
  }
  return new Map(
    [...byConnection].map(([connection, events]) => [connection, expected(events.sort(newestFirst))]),
  );
}

function expected(events: readonly PublishedEvent[]): ExpectedConnection {
  const [newest] = events;
  if (newest === undefined) throw new RangeError('a connection without events');
  const isDeleted = newest.eventType === 'entityDeleted';
  const pointers = new Set(events.flatMap(({ fields }) => Object.keys(fields)));
  const field = (pointer: string): ExpectedField => (isDeleted ? { kind: 'none' } : fieldOf(events, pointer));
  return {
    state: isDeleted ? 'deleted' : newest.eventType === 'entitySoftDeleted' ? 'softDeleted' : 'live',
    newest,
    fields: new Map([...pointers].map((pointer) => [pointer, field(pointer)])),
  };
}

/** The newest event says it; where it only masks the field, the newest older one that does more. */
function fieldOf(events: readonly PublishedEvent[], pointer: string): ExpectedField {
  const isMasked = textOf(events[0], pointer) === MASK;
  for (const event of events) {
    const text = textOf(event, pointer);
    if (text === MASK) continue;
    if (text === null || text === '') return { kind: isMasked ? 'unknown' : 'none' };
    const reference = /^secrets?:(.*)$/s.exec(text);
    return reference === null
      ? { kind: 'text', text }
      : { kind: 'reference', reference: `secret:${reference[1]}` };
  }
  return { kind: 'unknown' };
}

function textOf(event: PublishedEvent | undefined, pointer: string): FieldText {
  if (event === undefined || event.eventType === 'entityDeleted') return null;
  return event.fields[pointer] ?? null;
}

function newestFirst(a: PublishedEvent, b: PublishedEvent): number {
  if (a.timestampMs !== b.timestampMs) return b.timestampMs - a.timestampMs;
  if (a.version !== b.version) return (b.version ?? -Infinity) > (a.version ?? -Infinity) ? 1 : -1;
  const deletions = Number(b.eventType === 'entityDeleted') - Number(a.eventType === 'entityDeleted');
  if (deletions !== 0) return deletions;
  if (a.eventType === b.eventType && isDeepStrictEqual(content(a), content(b))) return 0;
  if (a.place !== undefined && b.place !== undefined) {
    const isOnePartition = a.place.topic === b.place.topic && a.place.partition === b.place.partition;
    if (isOnePartition) return b.place.offset - a.place.offset;
  }
  throw new RangeError(`nothing tells which of the events ${a.eventId} and ${b.eventId} is the newer one`);
}

function content({ fields, entity }: PublishedEvent): unknown {
  return { fields, entity };
}
