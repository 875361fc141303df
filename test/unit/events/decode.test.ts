import { describe, expect, it } from 'vitest';
import { eventHash } from '../../../src/events/fields.js';
import { SERVICE_KINDS, STATELESS_TYPES } from '../../../src/terms.js';
import type { Json } from '../../../src/terms.js';
import {
  change,
  decode,
  decodedEvent,
  entity,
  NOW_MS,
  record,
  refusalOf,
  refused,
  sampleRecords,
  TOPICS,
} from './support.js';

describe('the samples', () => {
  it.each(sampleRecords().map((sample) => [sample.value['id'], sample] as const))(
    'decodes %s',
    (id, sample) => {
      const headers = sample.headers === undefined ? {} : { headers: sample.headers };
      const event = decodedEvent(record(sample.value, { topic: sample.topic, ...headers }));
      expect(event.eventId).toBe(id);
      expect(event.name).not.toBeNull();
      expect(event.source).toEqual({ topic: sample.topic, partition: 2, offset: 7 });
    },
  );
});

describe('a bare change event', () => {
  it('is read member by member', () => {
    expect(decodedEvent(record(change({ more: 1 })))).toEqual({
      eventId: 'event-1',
      eventType: 'entityUpdated',
      entityType: 'databaseService',
      root: 'service',
      kind: 'database',
      connectionId: 'connection-1',
      serviceType: 'Mysql',
      name: 'mysql-test',
      fullyQualifiedName: 'mysql-test',
      timestampMs: 1_790_000_000_000,
      version: 0.3,
      actor: 'admin',
      entity: entity(),
      source: { topic: TOPICS.updated, partition: 2, offset: 7 },
    });
  });

  it('may carry its entity as a JSON string', () => {
    const event = decodedEvent(record(change({ entity: JSON.stringify(entity()) })));
    expect(event.entity).toEqual(entity());
  });

  it('is read as strictly if its entity is a JSON string', () => {
    const text = '{"id":"connection-1","name":"n","big":9007199254740993}';
    expect(refusalOf(record(change({ entity: text })))).toEqual(['NUMBER_NOT_EXACT', '/entity/big']);
    expect(refusalOf(record(change({ entity: '{' })))).toEqual(['EVENT_NOT_DECODABLE', '/entity']);
  });

  it('loses its history at any depth, and nothing else', () => {
    const history = { fieldsUpdated: [{ oldValue: 'old-secret', newValue: 'new-secret' }] };
    const state = entity({
      changeDescription: history,
      incrementalChangeDescription: history,
      connection: { config: { list: [{ changeDescription: history, kept: 1 }] } },
    });
    for (const value of [state, JSON.stringify(state)]) {
      const event = decodedEvent(record(change({ entity: value, changeDescription: history })));
      expect(JSON.stringify(event)).not.toContain('-secret');
      expect(event.entity?.['connection']).toEqual({ config: { list: [{ kept: 1 }] } });
    }
  });

  it('is a tombstone if the value is null or empty, even with CloudEvent headers', () => {
    const headers = { ce_specversion: '1.0', ce_type: 'connection.deleted' };
    for (const value of [undefined, Buffer.alloc(0)]) {
      const source = record(value, { key: Buffer.from('connection-1'), headers });
      expect(decode(source)).toEqual({ kind: 'tombstone', key: 'connection-1' });
    }
    expect(decode(record(undefined))).toEqual({ kind: 'tombstone', key: null });
  });

  it.each<[string, Json]>([
    ['null', null],
    ['a number', 1],
    ['a string', 'x'],
    ['an empty object', {}],
    ['an array (a batch)', [{}]],
  ])('is refused where the value is %s', (_, value) => {
    expect(refusalOf(record(value))[0]).toBe('EVENT_INVALID');
  });
});

describe('event type', () => {
  it.each(['entityCreated', 'entityUpdated', 'entitySoftDeleted', 'entityRestored', 'entityDeleted'])(
    '%s decides over the topic',
    (eventType) => {
      expect(decodedEvent(record(change({ eventType }), { topic: TOPICS.created })).eventType).toBe(
        eventType,
      );
    },
  );

  it.each([
    [TOPICS.created, 'entityCreated'],
    [TOPICS.updated, 'entityUpdated'],
    [TOPICS.deleted, 'entityDeleted'],
  ])('follows the topic %s where there is none', (topic, expected) => {
    expect(decodedEvent(record(change({ eventType: undefined }), { topic })).eventType).toBe(expected);
    expect(decodedEvent(record(change({ eventType: null }), { topic })).eventType).toBe(expected);
  });

  it('is unknown if all topics are one, or the topic is unknown', () => {
    const source = record(change({ eventType: undefined }), { topic: 'elsewhere' });
    expect(refusalOf(source)).toEqual(['EVENT_INVALID', '/eventType']);
    const shared = { created: 'one', updated: 'one', deleted: 'one' };
    expect(decode({ ...source, topic: 'one' }, shared)).toMatchObject({ kind: 'undecodable' });
  });

  it.each(STATELESS_TYPES)('%s carries no state and is ignored, whatever else the event has', (eventType) => {
    const told = { eventType, entityId: 5, entityType: 'THREAD', entity: undefined, timestamp: 'now' };
    expect(decode(record(change(told)))).toMatchObject({ kind: 'ignored' });
    const cloud = { headers: { 'ce-specversion': '1.0', 'ce-type': eventType } };
    expect(decode(record(change({ ...told, eventType: undefined }), cloud))).toMatchObject({
      kind: 'ignored',
    });
    // Of two types nobody knows which one is meant.
    const twice = JSON.stringify(change(told)).replace('{', '{"eventType":"entityUpdated",');
    expect(refused(record(twice)).error.code).toBe('EVENT_INVALID');
  });

  it.each<Json>(['entityRenamed', 'EntityCreated', '', 5, {}])('refuses %j', (eventType) => {
    expect(refusalOf(record(change({ eventType })))).toEqual(['EVENT_INVALID', '/eventType']);
  });
});

describe('connection id', () => {
  const without = { entityId: undefined, entity: entity({ id: undefined }) };

  it('is the entity id, else the entity’s own, else the key', () => {
    const key = { key: Buffer.from('from-key') };
    expect(decodedEvent(record(change(), key)).connectionId).toBe('connection-1');
    expect(decodedEvent(record(change({ entityId: undefined }), key)).connectionId).toBe('connection-1');
    expect(decodedEvent(record(change(without), key)).connectionId).toBe('from-key');
  });

  it.each([null, Buffer.from(''), Buffer.from('a b'), Buffer.from([0xff]), Buffer.alloc(1_000_000, 0x61)])(
    'is not taken from an unfit key (%#)',
    (key) => {
      expect(refusalOf(record(change(without), { key }))).toEqual(['EVENT_INVALID', '/entityId']);
      expect(decodedEvent(record(change(), { key })).connectionId).toBe('connection-1');
    },
  );

  it('is unknown if the two ids differ', () => {
    const decoded = refused(record(change({ entityId: 'other' })));
    expect(decoded).toMatchObject({
      error: { code: 'EVENT_INVALID' },
      connectionId: null,
      eventId: 'event-1',
    });
  });

  it.each<Json>(['', 'a b', 'é', 'a\n', 'x'.repeat(256), 5, {}, true])('refuses %j', (entityId) => {
    expect(refusalOf(record(change({ entityId })))).toEqual(['EVENT_INVALID', '/entityId']);
  });
});

describe('event id', () => {
  const place = `${TOPICS.updated}/2/7@1790000000000`;

  it('is the change event’s, else the CloudEvent’s with its source, else place and time', () => {
    const headers = { ce_specversion: '1.0', ce_id: 'ce-1', ce_source: '/server' };
    expect(decodedEvent(record(change(), { headers })).eventId).toBe('event-1');
    expect(decodedEvent(record(change({ id: undefined }), { headers })).eventId).toBe('/server#ce-1');
    expect(decodedEvent(record(change({ id: null }))).eventId).toBe(place);
  });

  it('stays short for a long CloudEvent id', () => {
    const headers = { ce_specversion: '1.0', ce_id: 'i'.repeat(300), ce_source: '/server' };
    expect(decodedEvent(record(change({ id: null }), { headers })).eventId).toMatch(
      /^cloudevent:[0-9a-f]{64}$/,
    );
  });

  it.each<Json>(['', 'x'.repeat(256), 'a\0', 5])('refuses %j', (id) => {
    expect(refusalOf(record(change({ id })))).toEqual(['EVENT_INVALID', '/id']);
    expect(refused(record(change({ id })))).toMatchObject({ eventId: null, connectionId: 'connection-1' });
  });

  it('is hashed together with the connection id', () => {
    expect(eventHash('c', 'e')).toMatch(/^[0-9a-f]{64}$/);
    expect(eventHash('c', 'e')).not.toBe(eventHash('e', 'c'));
  });
});

describe('time', () => {
  const T0 = 1_700_000_000_000;
  const times = (timestamp: Json | undefined, updatedAt: Json | undefined) =>
    change({ timestamp, entity: entity({ updatedAt }) });

  it('is the change event’s, else the entity’s, else the CloudEvent’s, else the record’s', () => {
    const headers = { ce_specversion: '1.0', ce_time: '2026-01-01T00:00:00.123456+01:00' };
    const cloud = { headers };
    expect(decodedEvent(record(times(T0 + 5, T0 + 6), cloud)).timestampMs).toBe(T0 + 5);
    expect(decodedEvent(record(times(undefined, T0 + 6), cloud)).timestampMs).toBe(T0 + 6);
    const expected = Date.UTC(2025, 11, 31, 23, 0, 0, 123);
    expect(decodedEvent(record(times(null, null), cloud)).timestampMs).toBe(expected);
    expect(decodedEvent(record(times(undefined, undefined))).timestampMs).toBe(1_700_000_000_000);
  });

  it.each<Json>([-1, 1.5, '1790000000000', 2 ** 53, {}, true])('refuses %j', (time) => {
    expect(refusalOf(record(times(time, 6)))).toEqual(['EVENT_INVALID', '/timestamp']);
    expect(refusalOf(record(times(undefined, time)))).toEqual(['EVENT_INVALID', '/entity/updatedAt']);
  });

  it('refuses an unreadable CloudEvent time only if it needs it', () => {
    const cloud = { headers: { ce_specversion: '1.0', ce_time: 'yesterday' } };
    expect(decodedEvent(record(times(T0, undefined), cloud)).timestampMs).toBe(T0);
    expect(refusalOf(record(times(undefined, undefined), cloud))).toEqual(['EVENT_INVALID', 'time']);
  });

  it('is needed', () => {
    const source = record(times(undefined, undefined), { timestampMs: -1 });
    expect(refusalOf(source)).toEqual(['EVENT_INVALID', '/timestamp']);
  });

  it('may be ahead by CLOCK_SKEW_SECONDS at most', () => {
    const skewMs = 300_000;
    expect(decodedEvent(record(times(NOW_MS + skewMs, 0))).timestampMs).toBe(NOW_MS + skewMs);
    expect(refused(record(times(NOW_MS + skewMs + 1, 0)))).toMatchObject({
      error: { code: 'TIMESTAMP_IMPLAUSIBLE', field: '/timestamp' },
      connectionId: 'connection-1',
      eventId: 'event-1',
      timestampMs: 1_700_000_000_000,
    });
    const ahead = record(times(undefined, undefined), { timestampMs: NOW_MS + skewMs + 1 });
    expect(refusalOf(ahead)[0]).toBe('TIMESTAMP_IMPLAUSIBLE');
  });

  it.each([1_790_000_000, 946_684_799_999])('%d: before the year 2000 is refused', (timestamp) => {
    expect(refusalOf(record(times(timestamp, 0)))).toEqual(['TIMESTAMP_IMPLAUSIBLE', '/timestamp']);
  });
});

describe('version', () => {
  it.each<[Json | undefined, Json | undefined, number | null]>([
    [0.3, 0.2, 0.3],
    [undefined, 0.2, 0.2],
    ['0.3', 0.2, 0.2],
    [undefined, undefined, null],
    [null, '0.2', null],
  ])('of entity %j and event %j is %j', (version, currentVersion, expected) => {
    const event = decodedEvent(record(change({ currentVersion, entity: entity({ version }) })));
    expect(event.version).toBe(expected);
  });
});

describe('entity type', () => {
  it.each(SERVICE_KINDS)('knows %sService', (kind) => {
    const event = decodedEvent(record(change({ entityType: `${kind}Service` })));
    expect([event.root, event.kind]).toEqual(['service', kind]);
  });

  it('ignores case', () => {
    const event = decodedEvent(record(change({ entityType: 'mlModelService' })));
    expect([event.entityType, event.kind]).toEqual(['mlmodelService', 'mlmodel']);
  });

  it.each([
    ['ingestionPipeline', 'ingestionPipeline', 'pipeline'],
    ['workflow', 'workflow', 'workflow'],
  ])('knows %s', (entityType, root, kind) => {
    expect(decodedEvent(record(change({ entityType })))).toMatchObject({ root, kind, entityType });
  });

  it.each(['table', 'testService', 'Service', 'databaseServices', '__proto__', 'constructor'])(
    'refuses %s',
    (entityType) => {
      expect(refusalOf(record(change({ entityType })))).toEqual(['ENTITY_TYPE_UNSUPPORTED', '/entityType']);
    },
  );

  it('is needed', () => {
    expect(refusalOf(record(change({ entityType: undefined })))).toEqual(['EVENT_INVALID', '/entityType']);
  });
});

describe('users', () => {
  const user = (isBot: Json | undefined, eventType = 'entityUpdated') =>
    record(change({ entityType: 'user', eventType, entity: entity({ isBot }) }));

  it('are bots', () => {
    expect(decodedEvent(user(true))).toMatchObject({ root: 'bot', kind: 'bot' });
  });

  it.each<Json | undefined>([false, undefined, null, 'true', 1])('are refused with isBot %j', (isBot) => {
    expect(refusalOf(user(isBot))).toEqual(['NOT_A_BOT', '/entity/isBot']);
  });

  it('may be deleted if nothing says that they are human', () => {
    expect(decodedEvent(user(undefined, 'entityDeleted')).root).toBe('bot');
    expect(refusalOf(user(false, 'entityDeleted'))[0]).toBe('NOT_A_BOT');
    const source = record(change({ entityType: 'user', eventType: 'entityDeleted', entity: null }));
    expect(decodedEvent(source).entity).toBeNull();
  });
});

describe('entity', () => {
  it.each<Json | undefined>([undefined, null])('%j is accepted of a hard deletion only', (state) => {
    const event = decodedEvent(record(change({ eventType: 'entityDeleted', entity: state })));
    expect(event).toMatchObject({ entity: null, name: null, connectionId: 'connection-1', version: 0.2 });
    for (const eventType of ['entityCreated', 'entityUpdated', 'entitySoftDeleted', 'entityRestored']) {
      expect(refusalOf(record(change({ eventType, entity: state })))).toEqual(['EVENT_INVALID', '/entity']);
    }
  });

  it.each<Json>([5, true, [], '[]', '5', '""'])('%j is refused', (state) => {
    expect(refusalOf(record(change({ entity: state })))).toEqual(['EVENT_INVALID', '/entity']);
  });

  it.each<Json | undefined>([undefined, null, '', 5, 'a\0b', 'x'.repeat(513)])(
    'refuses the name %j',
    (name) => {
      expect(refusalOf(record(change({ entity: entity({ name }) })))).toEqual([
        'EVENT_INVALID',
        '/entity/name',
      ]);
    },
  );

  it('needs no name to be deleted', () => {
    const source = record(change({ eventType: 'entityDeleted', entity: entity({ name: undefined }) }));
    expect(decodedEvent(source).name).toBeNull();
  });

  it.each<[string, string, Record<string, Json>, string]>([
    ['databaseService', 'a connection', { connection: 'password=p' }, '/entity/connection'],
    ['databaseService', 'a config', { connection: { config: ['p'] } }, '/entity/connection/config'],
    ['user', 'a mechanism', { authenticationMechanism: 'p' }, '/entity/authenticationMechanism'],
    ['ingestionPipeline', 'a source', { sourceConfig: { config: 'p' } }, '/entity/sourceConfig/config'],
    ['workflow', 'a request', { request: { connection: 'p' } }, '/entity/request/connection'],
  ])('of a %s is refused where %s is not an object', (entityType, _, members, at) => {
    const state = entity({ isBot: true, ...members });
    expect(refusalOf(record(change({ entityType, entity: state })))).toEqual(['EVENT_INVALID', at]);
    const deletion = change({ entityType, eventType: 'entityDeleted', entity: state });
    expect(decode(record(deletion)).kind).toBe('event');
  });

  it('may have no connection', () => {
    expect(decode(record(change({ entity: entity({ connection: null }) }))).kind).toBe('event');
    expect(decode(record(change({ entity: entity({ connection: undefined }) }))).kind).toBe('event');
  });

  it('keeps prototype names as members', () => {
    const text = JSON.stringify(change()).replace(
      '"password":"p"',
      '"__proto__":{"password":"p"},"constructor":1',
    );
    const event = decodedEvent(record(Buffer.from(text)));
    expect(JSON.stringify(event.entity)).toContain('"__proto__":{"password":"p"},"constructor":1');
  });
});

describe('what is refused', () => {
  it('names its connection and event if there is no doubt', () => {
    const text = JSON.stringify(change()).replace('0.2', '9007199254740993');
    expect(refused(record(Buffer.from(text), { key: Buffer.from('k') }))).toMatchObject({
      error: { code: 'NUMBER_NOT_EXACT', field: '/currentVersion' },
      key: 'k',
      connectionId: 'connection-1',
      eventId: 'event-1',
    });
  });

  it('names no ids if a key comes twice', () => {
    const text = JSON.stringify(change()).replace('"entityId"', '"entityId":"connection-2","entityId"');
    expect(refused(record(Buffer.from(text), { key: Buffer.from('k') }))).toMatchObject({
      error: { code: 'EVENT_INVALID', field: '/entityId' },
      key: 'k',
      connectionId: null,
      eventId: null,
    });
  });

  it('names only its key if it is not JSON', () => {
    expect(refused(record(Buffer.from('{'), { key: Buffer.from('k') }))).toEqual({
      kind: 'undecodable',
      error: expect.objectContaining({ code: 'EVENT_NOT_DECODABLE' }) as unknown,
      key: 'k',
      connectionId: null,
      eventId: null,
      timestampMs: 1_700_000_000_000,
    });
  });
});
