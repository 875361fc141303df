import { createHmac } from 'node:crypto';
import type { EventOrder, EventType, Json, SourceEvent } from '../terms.js';

type Comparison = -1 | 0 | 1;

/** What decides which of two states of one connection is newer. */
interface OrderedEvent {
  readonly order: EventOrder;
  readonly eventType: EventType;
}

/**
 * Which of two states of one connection is newer: by time, then version (an event without a version is oldest), then
 * offset within one partition, then digest. 1 if `a` is newer, -1 if `b` is. 0: they are the same state, a duplicate.
 *
 * Every worker gives the same answer, and swapped arguments give the opposite one. But the order is not transitive. Take
 * three different states with the same millisecond and the same version, two in one partition and one in another: the
 * offset orders the first two, the digest orders the other pairs, and that can make a circle. Nothing in such events says
 * which is the newest, so no answer lets an older state overwrite a newer one. The state that ends up applied is one of
 * the three and depends on which arrives last. So use this to compare an event with the applied one, never to sort.
 */
export function compareOrder(a: EventOrder, b: EventOrder): Comparison {
  return compareTime(a, b) || comparePlace(a, b);
}

/** As `compareOrder`, but if time and version are equal, a hard deletion is newer: nothing can follow it. */
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
  // The same content is the same state, in whatever partition it lies.
  if (a.digest === b.digest) return 0;
  const onePartition = a.topic === b.topic && a.partition === b.partition;
  return (onePartition ? compare(a.offset, b.offset) : 0) || compare(a.digest, b.digest);
}

function compare<T extends number | string>(a: T, b: T): Comparison {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * Keyed digest of an event's content: HMAC-SHA256 (64 hexadecimal digits) of event type and entity in a canonical form, in
 * which the order of keys and the spelling of numbers do not matter. It has a key because somebody who knows all other
 * members could guess a password from a plain hash.
 *
 * @param key the fingerprint key; a prefix separates this use of it from others
 * @param instead texts of the entity, and the texts that replace them in the digest
 */
export function contentDigest(
  key: Buffer,
  event: Pick<SourceEvent, 'eventType' | 'entity'>,
  instead?: ReadonlyMap<string, string>,
): string {
  const hmac = createHmac('sha256', key);
  hmac.update(`content-digest/1\n${event.eventType}\n`, 'utf8');
  let chunk = '';
  // Collected into larger parts, because a few long updates are faster than many short ones.
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

/** JSON without white space, with the keys of each object sorted by code unit. For trees from `parseJson`. */
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
