import { createHmac } from 'node:crypto';
import type { EventOrder, EventType, Json, SourceEvent } from '../terms.js';

export type Comparison = -1 | 0 | 1;

/** What two states of one connection are compared by. */
export interface OrderedEvent {
  readonly order: EventOrder;
  readonly eventType: EventType;
}

/**
 * Which of two states of one connection is newer: by time, then version (none is lowest), then offset
 * within one partition, then digest. 0: the same state, a duplicate.
 *
 * Every worker answers alike, and swapped arguments give the opposite answer. It is not transitive in one corner: of
 * three *different* states with the same millisecond and the same version, two in one partition and one in another, the
 * offset orders the two and the digest the other pairs, which can make a circle. Nothing in such events says which is
 * the newest, so each answer keeps the promise that no older state overwrites a newer one: the publisher gave them one
 * time and one version. The applied state then depends on which arrived last, and is one of the three. Use it to compare
 * an event with the applied one, never to sort.
 */
export function compareOrder(a: EventOrder, b: EventOrder): Comparison {
  return compareTime(a, b) || comparePlace(a, b);
}

/** As `compareOrder`, but of equal time and version a hard deletion is the newer one: nothing follows it. */
export function compareEvents(a: OrderedEvent, b: OrderedEvent): Comparison {
  return (
    compareTime(a.order, b.order) ||
    compare(Number(a.eventType === 'entityDeleted'), Number(b.eventType === 'entityDeleted')) ||
    comparePlace(a.order, b.order)
  );
}

function compareTime(a: EventOrder, b: EventOrder): Comparison {
  return compare(a.timestampMs, b.timestampMs) || compare(a.version ?? -Infinity, b.version ?? -Infinity);
}

function comparePlace(a: EventOrder, b: EventOrder): Comparison {
  // The same content again is the same state, wherever it lies.
  if (a.digest === b.digest) return 0;
  const onePartition = a.topic === b.topic && a.partition === b.partition;
  return (onePartition ? compare(a.offset, b.offset) : 0) || compare(a.digest, b.digest);
}

function compare<T extends number | string>(a: T, b: T): Comparison {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * Keyed digest of an event's content: HMAC-SHA256 in hexadecimal (64 digits) over a canonical form of event type and
 * entity, in which the order of keys and the spelling of numbers do not count. Keyed, because a plain hash of a state
 * whose every other member is known would let a password be guessed.
 *
 * @param key the fingerprint key; this use of it is told apart from others by a prefix
 * @param instead texts that stand for others
 */
export function contentDigest(
  key: Buffer,
  event: Pick<SourceEvent, 'eventType' | 'entity'>,
  instead?: ReadonlyMap<string, string>,
): string {
  const hmac = createHmac('sha256', key);
  hmac.update(`content-digest/1\n${event.eventType}\n`, 'utf8');
  let chunk = '';
  // Put together into larger parts: a digest takes few long texts faster than many short ones.
  canonicalPieces(
    event.entity,
    (piece) => {
      chunk += piece;
      if (chunk.length < CHUNK_CHARACTERS) return;
      hmac.update(chunk, 'utf8');
      chunk = '';
    },
    instead,
  );
  return hmac.update(chunk, 'utf8').digest('hex');
}

const CHUNK_CHARACTERS = 65_536;

/** JSON with the keys of each object sorted by code unit and without white space. For trees from `parseJson`. */
export function canonicalJson(value: Json): string {
  const pieces: string[] = [];
  canonicalPieces(value, (piece) => pieces.push(piece));
  return pieces.join('');
}

function canonicalPieces(
  value: Json,
  emit: (piece: string) => void,
  instead?: ReadonlyMap<string, string>,
): void {
  if (typeof value !== 'object' || value === null) {
    emit(JSON.stringify((typeof value === 'string' ? instead?.get(value) : undefined) ?? value));
    return;
  }
  const isArray = Array.isArray(value);
  let before = isArray ? '[' : '{';
  const members = isArray ? value.entries() : Object.entries(value).sort(([a], [b]) => compare(a, b));
  for (const [name, inner] of members) {
    emit(typeof name === 'number' ? before : `${before}${JSON.stringify(name)}:`);
    canonicalPieces(inner, emit, instead);
    before = ',';
  }
  emit(before === ',' ? (isArray ? ']' : '}') : isArray ? '[]' : '{}');
}
