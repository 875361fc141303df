import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, compareEvents, compareOrder, contentDigest } from '../../../src/events/order.js';
import type { EventOrder, JsonObject } from '../../../src/terms.js';

const order = (change: Partial<EventOrder> = {}): EventOrder => ({
  timestampMs: 10,
  version: 1,
  topic: 't',
  partition: 0,
  offset: 5,
  digest: 'm',
  ...change,
});

describe('compareOrder', () => {
  it.each<[string, Partial<EventOrder>, -1 | 0 | 1]>([
    ['an earlier time, whatever else', { timestampMs: 9, version: 9, offset: 9, digest: 'z' }, -1],
    ['a later time', { timestampMs: 11, version: 0, offset: 0, digest: 'a' }, 1],
    ['a lower version', { version: 0.9, offset: 9, digest: 'z' }, -1],
    ['no version', { version: null, offset: 9, digest: 'z' }, -1],
    ['a lower offset of the same partition', { offset: 4, digest: 'z' }, -1],
    ['a higher offset of the same partition', { offset: 6, digest: 'a' }, 1],
    ['another partition: the digest', { partition: 1, offset: 9, digest: 'a' }, -1],
    ['another topic: the digest', { topic: 'u', offset: 1, digest: 'z' }, 1],
    ['the same content elsewhere', { topic: 'u', offset: 1 }, 0],
    ['the same content again', { offset: 9 }, 0],
  ])('%s', (_, change, expected) => {
    expect(compareOrder(order(change), order())).toBe(expected);
  });

  it('takes a missing version as lower than any number', () => {
    expect(compareOrder(order({ version: null }), order({ version: -5 }))).toBe(-1);
    expect(compareOrder(order({ version: null }), order({ version: null }))).toBe(0);
  });

  it('gives the opposite answer for swapped arguments', () => {
    const small = fc.record({
      timestampMs: fc.nat(2),
      version: fc.constantFrom(null, 0.1, 0.2),
      topic: fc.constantFrom('t', 'u'),
      partition: fc.nat(1),
      offset: fc.nat(3),
      digest: fc.constantFrom('a', 'b', 'c'),
    });
    fc.assert(
      fc.property(small, small, fc.boolean(), fc.boolean(), (a, b, aDeleted, bDeleted) => {
        const type = (deleted: boolean) => (deleted ? 'entityDeleted' : 'entityUpdated');
        const left = { order: a, eventType: type(aDeleted) } as const;
        const right = { order: b, eventType: type(bDeleted) } as const;
        expect(compareOrder(a, b) + compareOrder(b, a)).toBe(0);
        expect(compareEvents(left, right) + compareEvents(right, left)).toBe(0);
      }),
    );
  });

  it('is transitive within one partition', () => {
    const inPartition = fc.record({
      timestampMs: fc.nat(1),
      version: fc.constantFrom(null, 1),
      offset: fc.nat(50),
    });
    fc.assert(
      fc.property(fc.uniqueArray(inPartition, { selector: (o) => o.offset, minLength: 3 }), (places) => {
        const sorted = places
          .map((place) => order({ ...place, digest: String(place.offset % 7) + String(place.offset) }))
          .sort(compareOrder);
        sorted.forEach((a, i) => {
          sorted.slice(i + 1).forEach((b) => expect(compareOrder(a, b)).toBe(-1));
        });
      }),
    );
  });
});

describe('compareEvents', () => {
  const deleted = (change: Partial<EventOrder> = {}) =>
    ({ order: order(change), eventType: 'entityDeleted' }) as const;
  const updated = (change: Partial<EventOrder> = {}) =>
    ({ order: order(change), eventType: 'entityUpdated' }) as const;

  it('lets a deletion win over an equal time and version, whatever its place and digest', () => {
    expect(compareEvents(deleted({ offset: 1, digest: 'a' }), updated())).toBe(1);
    expect(compareEvents(updated({ topic: 'u', digest: 'z' }), deleted())).toBe(-1);
  });

  it('does not let it win over a newer state', () => {
    expect(compareEvents(deleted(), updated({ timestampMs: 11 }))).toBe(-1);
    expect(compareEvents(deleted(), updated({ version: 2 }))).toBe(-1);
  });

  it('compares two deletions like any other events', () => {
    expect(compareEvents(deleted({ offset: 4, digest: 'z' }), deleted())).toBe(-1);
    expect(compareEvents(deleted(), deleted())).toBe(0);
  });
});

describe('contentDigest', () => {
  const key = Buffer.alloc(32, 1);
  const base = { eventType: 'entityUpdated', entity: { b: 1, a: { d: [1, 2], c: null } } } as const;
  const entity = { b: 1, a: { d: [1, 2], c: null } };

  it('does not depend on the order of keys', () => {
    const other = { a: { c: null, d: [1, 2] }, b: 1 };
    expect(contentDigest(key, { ...base, entity: other })).toBe(contentDigest(key, { ...base, entity }));
    expect(contentDigest(key, { ...base, entity })).toMatch(/^[0-9a-f]{64}$/);
  });

  it('covers the whole canonical text, however long, and never changes, because databases store it', () => {
    const large: JsonObject = {
      b: Array.from({ length: 30_000 }, (_, at) => ({ z: at, a: [], e: {} })),
      a: 'ä"',
    };
    const whole = createHmac('sha256', key)
      .update(`content-digest/1\nentityUpdated\n${canonicalJson(large)}`, 'utf8')
      .digest('hex');
    expect(contentDigest(key, { eventType: 'entityUpdated', entity: large })).toBe(whole);
    expect(canonicalJson({ b: [{ z: 1, a: [], e: {} }], a: 'x', '': [1, [null]] })).toBe(
      '{"":[1,[null]],"a":"x","b":[{"a":[],"e":{},"z":1}]}',
    );
  });

  it('depends on key, event type and every value', () => {
    const digests = [
      contentDigest(key, { ...base, entity }),
      contentDigest(Buffer.alloc(32, 2), { ...base, entity }),
      contentDigest(key, { eventType: 'entityCreated', entity }),
      contentDigest(key, { ...base, entity: { ...entity, b: '1' } }),
      contentDigest(key, { ...base, entity: { ...entity, b: true } }),
      contentDigest(key, { ...base, entity: { b: 1, a: { d: [2, 1], c: null } } }),
      contentDigest(key, { ...base, entity: null }),
      contentDigest(key, { ...base, entity: {} }),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('sees a member named __proto__', () => {
    const hidden = JSON.parse('{"__proto__":{"a":1}}') as Record<string, never>;
    expect(canonicalJson(hidden)).toBe('{"__proto__":{"a":1}}');
  });
});
