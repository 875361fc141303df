import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../src/terms.js';
import { change, decode, entity, record, sampleRecords, schema } from './support.js';

describe('the schemas of incoming events', () => {
  it.each(sampleRecords().map((sample) => [sample.value] as const))('accept sample %#', (value) => {
    const name = 'specversion' in value ? 'change-event.cloudevent.json' : 'change-event.json';
    const validate = schema(name);
    expect(validate(value), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each<[string, Record<string, Json | undefined>]>([
    ['no entity type', { entityType: undefined }],
    ['an unknown entity type', { entityType: 'table' }],
    ['an unknown event type', { eventType: 'entityRenamed' }],
    ['a time in seconds', { timestamp: 1_790_000_000 }],
    ['an id that is a number', { id: 5 }],
    ['an entity id with a space', { entityId: 'a b' }],
    ['a time that is a text', { timestamp: '5' }],
    ['a time before 1970', { timestamp: -1 }],
    ['no entity', { entity: undefined }],
    ['a null entity', { entity: null }],
    ['a list as entity', { entity: [] }],
    ['no name', { entity: entity({ name: undefined }) }],
    ['a text as connection', { entity: entity({ connection: 'x' }) }],
    ['a human', { entityType: 'user', entity: entity({ isBot: false }) }],
  ])('refuse what decoding refuses: %s', (_, members) => {
    const value = change(members);
    expect(schema('change-event.json')(value)).toBe(false);
    expect(decode(record(value, { topic: 'elsewhere' })).kind).toBe('undecodable');
  });

  it.each<[string, Record<string, Json | undefined>]>([
    ['a deletion without entity', { eventType: 'entityDeleted', entity: null }],
    ['unknown members', { more: [1] }],
    ['nothing that can be done without', { id: null, userName: undefined, currentVersion: undefined }],
    ['an entity in a text', { entity: JSON.stringify(entity()) }],
  ])('accept what decoding accepts: %s', (_, members) => {
    const validate = schema('change-event.json');
    expect(validate(change(members)), JSON.stringify(validate.errors)).toBe(true);
    expect(decode(record(change(members))).kind).toBe('event');
  });

  it('refuse an envelope of another version, without data, or with both kinds', () => {
    const validate = schema('change-event.cloudevent.json');
    const good: JsonObject = { specversion: '1.0', id: 'i', source: 's', type: 't', data: change() };
    expect(validate(good), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...good, specversion: '0.3' })).toBe(false);
    expect(validate({ ...good, data: undefined })).toBe(false);
    expect(validate({ ...good, data_base64: 'e30=' })).toBe(false);
  });
});
