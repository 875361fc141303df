import { describe, expect, it } from 'vitest';
import { NewestRecords } from '../../../src/operations/replay/newest-first.js';
import type { Json, SourceRecord } from '../../../src/terms.js';
import { fuzzContexts } from '../../fuzz/contexts.js';
import { NOW_MS, TOPICS } from '../../fuzz/samples.js';

const MASK = '*********';
const [context] = fuzzContexts();
if (context === undefined) throw new Error('no configuration');

/** A full state; its offset is its place. */
function state(
  offset: number,
  config: Record<string, Json>,
  { id = 'c1', at = offset, eventType = 'entityUpdated' } = {},
): SourceRecord {
  const entity = { id, name: id, serviceType: 'Mysql', connection: { config: { type: 'Mysql', ...config } } };
  const event = {
    id: `e${offset}`,
    eventType,
    entityType: 'databaseService',
    entityId: id,
    timestamp: NOW_MS - 1_000 + at,
    entity,
  };
  return record(offset, Buffer.from(JSON.stringify(event)));
}

function record(offset: number, value: Buffer | null): SourceRecord {
  const place = { topic: TOPICS.updated, partition: 0, offset, timestampMs: NOW_MS };
  return { ...place, key: null, value, headers: {} };
}

function first(records: readonly SourceRecord[]): number[] {
  const newest = new NewestRecords(context!, TOPICS);
  for (const one of records) newest.note(one);
  return [...newest.places()].map((place) => Number(place.split('|')[2])).sort((a, b) => a - b);
}

describe('what a replay handles first', () => {
  it.each<[string, readonly SourceRecord[], readonly number[]]>([
    [
      'of each connection its newest event',
      [state(1, { password: 'a' }), state(2, { password: 'b' }), state(3, { password: 'x' }, { id: 'c2' })],
      [2, 3],
    ],
    [
      'the newest by its time, not by its place',
      [state(1, { password: 'b' }, { at: 9 }), state(2, { password: 'a' })],
      [1],
    ],
    [
      'for a field that it masks the newest event that sets it',
      [
        state(1, { password: 'a' }),
        state(2, { password: 'b' }),
        state(3, { password: MASK }),
        state(4, { password: MASK }),
      ],
      [2, 4],
    ],
    [
      'for each field its own',
      [
        state(1, { password: 'a', apiKey: 'k' }),
        state(2, { password: 'b', apiKey: MASK }),
        state(3, { password: MASK, apiKey: MASK }),
      ],
      [1, 2, 3],
    ],
    [
      'of a deleted connection the deletion alone',
      [state(1, { password: 'a' }), state(2, {}, { eventType: 'entityDeleted' })],
      [2],
    ],
    [
      'what cannot be read, for a later state supersedes it',
      [record(1, Buffer.from('{')), state(2, { password: 'a' })],
      [1, 2],
    ],
    [
      'nothing of what is refused in any case',
      [state(1, { password: 'a' }), state(2, { password: 42 })],
      [1],
    ],
    ['no tombstone', [record(1, null)], []],
  ])('%s', (_, records, expected) => {
    expect(first(records)).toEqual(expected);
    expect(first([...records].reverse())).toEqual(expected);
  });
});
