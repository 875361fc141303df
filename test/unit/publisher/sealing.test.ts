import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../src/events/decode.js';
import { generateKey, isSealed, KeyRing, sealText } from '../../../src/fernet/index.js';
import { createChangeSealer } from '../../../src/publisher/index.js';
import type { ChangeRecord, EntityChange, SealerOptions } from '../../../src/publisher/index.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import { sealedFor } from '../../harness/index.js';
import { schema } from '../events/support.js';
import { ID, KEY, mysqlChange, opened } from './support.js';

const sealer = (options: Partial<SealerOptions> = {}) => createChangeSealer({ fernetKeys: KEY, ...options });
const seal = (change: EntityChange, options: Partial<SealerOptions> = {}): ChangeRecord =>
  sealer(options).seal(change);
const jsonOf = (record: ChangeRecord): JsonObject => JSON.parse(record.value.toString()) as JsonObject;
const dataOf = (record: ChangeRecord) =>
  jsonOf(record)['data'] as JsonObject & { entity: { connection: { config: Record<string, Json> } } };
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    expect(inspect(error, { depth: 9 })).not.toContain('p4ssw0rd');
    return (error as { code: string }).code;
  }
};
/** Not in place: functions are named after what stands around them, and stacks show the names. */
const URL_KEY = ['mysql://u', 'p4ssw0rd@h'].join(':');
const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
};

describe('the record of a change', () => {
  it('is a structured CloudEvent that the schema and the worker accept', () => {
    const record = seal(mysqlChange({ password: 'p4ssw0rd' }, { id: 'change-1' }));
    expect(record).toMatchObject({ topic: 'connection.updated', key: ID, id: 'change-1' });
    expect(record.headers).toEqual({ 'content-type': 'application/cloudevents+json; charset=UTF-8' });
    expect(jsonOf(record)).toMatchObject({
      specversion: '1.0',
      id: 'change-1',
      source: '/metadata-server',
      type: 'connection.updated',
      subject: ID,
      time: '2023-11-14T22:13:20.000Z',
      data: {
        id: 'change-1',
        eventType: 'entityUpdated',
        entityId: ID,
        currentVersion: 0.2,
        userName: 'admin',
      },
    });
    const validate = schema('change-event.cloudevent.json');
    expect(validate(jsonOf(record)), JSON.stringify(validate.errors)).toBe(true);
  });

  it('is a binary CloudEvent if that is asked for', () => {
    const record = seal(mysqlChange({ password: 'p4ssw0rd' }), { mode: 'binary', source: '/om' });
    expect(record.headers).toMatchObject({
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_source: '/om',
      ce_type: 'connection.updated',
      ce_subject: ID,
    });
    const headers = Object.fromEntries(
      Object.entries(record.headers).map(([name, text]) => [name, Buffer.from(text)]),
    );
    const { topic, value } = record;
    const decoded = decodeRecord(
      { topic, value, headers, key: Buffer.from(record.key), partition: 0, offset: 0, timestampMs: 0 },
      TOPICS,
      Date.now(),
    );
    expect(decoded).toMatchObject({
      kind: 'event',
      event: {
        eventId: record.id,
        eventType: 'entityUpdated',
        connectionId: ID,
        timestampMs: 1_700_000_000_000,
      },
    });
  });

  it.each([
    ['entityCreated', 'connection.created'],
    ['entityUpdated', 'connection.updated'],
    ['entityRestored', 'connection.updated'],
    ['entitySoftDeleted', 'connection.deleted'],
    ['entityDeleted', 'connection.deleted'],
  ] as const)('of %s goes to %s', (eventType, topic) => {
    expect(seal(mysqlChange({}, { eventType })).topic).toBe(topic);
    expect(seal(mysqlChange({}, { eventType }), { topics: { [topic.slice(11)]: 'mine' } }).topic).toBe(
      'mine',
    );
  });

  it('gets a time and an id if none is given', () => {
    const { timestamp: _, ...change } = mysqlChange();
    const [left, right] = [seal(change), seal(change)];
    expect(left.id).not.toBe(right.id);
    expect(Number(dataOf(left)['timestamp'])).toBeGreaterThan(Date.now() - 60_000);
    const updated = { ...change, entity: { ...change.entity, updatedAt: 1_600_000_000_000 } };
    expect(dataOf(seal(updated))['timestamp']).toBe(1_600_000_000_000);
  });

  it('has only the names of a deleted entity', () => {
    const record = seal(mysqlChange({ password: 'p4ssw0rd' }, { eventType: 'entityDeleted' }));
    expect(dataOf(record)['entity']).toEqual({
      ...{ id: ID, name: 'mysql-test', fullyQualifiedName: 'mysql-test', serviceType: 'Mysql', version: 0.2 },
    });
    const bare = seal({ eventType: 'entityDeleted', entityType: 'databaseService', entityId: ID });
    expect(dataOf(bare)['entity']).toBeNull();
  });

  it('carries neither history nor unknown members', () => {
    const change = mysqlChange({ password: 'p4ssw0rd' });
    const entity = {
      ...change.entity,
      changeDescription: { fieldsUpdated: [{ oldValue: 'p4ssw0rd' }] },
      nested: { incrementalChangeDescription: { newValue: 'p4ssw0rd' } },
    };
    const strange = { ...change, entity, changeDescription: { newValue: 'p4ssw0rd' }, more: 'p4ssw0rd' };
    expect(seal(strange).value.toString()).not.toContain('p4ssw0rd');
  });

  it('does not change the object that it was given', () => {
    const change = mysqlChange({ password: 'p4ssw0rd' });
    const before = JSON.stringify(change);
    seal(change);
    expect(JSON.stringify(change)).toBe(before);
  });
});

describe('sealing', () => {
  const config: JsonObject = {
    password: 'p4ssw0rd-1',
    authType: { password: 'p4ssw0rd-2' },
    sslConfig: { sslKey: 'p4ssw0rd-3' },
    connectionOptions: { apiKey: 'p4ssw0rd-4', url: 'mysql://u:p4ssw0rd-5@h/db', plain: 'stays' },
    hostPort: 'mysql.internal:3306',
  };

  it('seals declared fields, fields by name and addresses, each as its own token, and nothing else', () => {
    const record = seal(mysqlChange(config));
    expect(record.value.toString()).not.toContain('p4ssw0rd');
    const sealed = dataOf(record).entity.connection.config;
    expect(opened(sealed)).toEqual({ type: 'Mysql', username: 'openmetadata_user', ...config });
    expect([...record.sealedFields].sort()).toEqual(
      [
        'authType/password',
        'connectionOptions/apiKey',
        'connectionOptions/url',
        'password',
        'sslConfig/sslKey',
      ].map((path) => `/connection/config/${path}`),
    );
    expect(sealed['hostPort']).toBe('mysql.internal:3306');
    const again = dataOf(seal(mysqlChange(config))).entity.connection.config;
    expect(again['password']).not.toBe(sealed['password']);
  });

  it('finds the secrets of bots, pipelines and workflows', () => {
    const bot = seal({
      eventType: 'entityUpdated',
      entityType: 'user',
      entity: {
        ...{ id: ID, name: 'ingestion-bot', isBot: true },
        authenticationMechanism: { authType: 'JWT', config: { JWTToken: 'p4ssw0rd' } },
      },
    });
    expect(bot.sealedFields).toEqual(['/authenticationMechanism/config/JWTToken']);
    const pipeline = seal({
      eventType: 'entityUpdated',
      entityType: 'ingestionPipeline',
      entity: {
        ...{ id: ID, name: 'p' },
        openMetadataServerConnection: { securityConfig: { jwtToken: 'p4ssw0rd' } },
      },
    });
    expect(pipeline.sealedFields).toEqual(['/openMetadataServerConnection/securityConfig/jwtToken']);
    for (const record of [bot, pipeline]) expect(record.value.toString()).not.toContain('p4ssw0rd');
  });

  it.each([
    ['a mask', '*********'],
    ['a reference', 'secret:/openmetadata/database/x/password'],
    ['a reference of the other spelling', 'secrets:/x'],
    ['an empty text', ''],
    ['null', null],
    ['what is sealed with our key for this field', sealedFor(KEY, ID, 'p4ssw0rd')],
  ])('leaves %s as it is', (_, password) => {
    const record = seal(mysqlChange({ password }));
    expect(dataOf(record).entity.connection.config['password']).toBe(password);
    expect(record.sealedFields).toEqual([]);
  });

  it.each([
    ['a token of nobody we know', sealText(KeyRing.parse('K', generateKey()), 'p4ssw0rd')],
    ['a text that only begins like a token', 'fernet:p4ssw0rd'],
    ['a token of ours that names no field', sealText(KeyRing.parse('K', KEY), 'p4ssw0rd')],
    ['a token of ours for another connection', sealedFor(KEY, 'another', 'p4ssw0rd')],
    ['a token of ours for another field', sealedFor(KEY, ID, 'p4ssw0rd', '/connection/config/apiKey')],
  ])('seals %s like any other text', (_, password) => {
    const record = seal(mysqlChange({ password }));
    expect(record.sealedFields).toEqual(['/connection/config/password']);
    const config = dataOf(record).entity.connection.config;
    expect(config['password']).not.toBe(password);
    expect(opened(config)).toMatchObject({ password });
  });

  it('seals with the first key of the list and knows the tokens of all', () => {
    const older = sealedFor(KEY, ID, 'p4ssw0rd');
    const newKey = generateKey();
    const record = seal(mysqlChange({ password: older, apiKey: 'p4ssw0rd' }), {
      fernetKeys: `${newKey},${KEY}`,
    });
    const { password, apiKey } = dataOf(record).entity.connection.config;
    expect(password).toBe(older);
    expect(typeof apiKey === 'string' && isSealed(apiKey)).toBe(true);
    expect(KeyRing.parse('K', newKey).opens((apiKey as string).slice('fernet:'.length))).toBe(true);
  });

  it('seals added paths, and leaves excluded ones', () => {
    const record = seal(mysqlChange({ hostPort: 'p4ssw0rd', password: 'plain-by-choice' }), {
      rules: { extraPaths: ['Mysql:hostPort'], excludedPaths: ['Mysql:password'] },
    });
    expect(record.sealedFields).toEqual(['/connection/config/hostPort']);
    expect(dataOf(record).entity.connection.config['password']).toBe('plain-by-choice');
  });
});

describe('what is refused before it leaves, without a value in the error', () => {
  it.each<[string, string, () => unknown]>([
    ['a number as password', 'FIELD_NOT_A_STRING', () => seal(mysqlChange({ password: 4711 }))],
    ['the word null', 'VALUE_IS_THE_WORD_NULL', () => seal(mysqlChange({ password: 'null' }))],
    ['half a character', 'EVENT_INVALID', () => seal(mysqlChange({ password: 'p4ssw0rd\ud800' }))],
    ['a URL as a key', 'EVENT_INVALID', () => seal(mysqlChange({ [URL_KEY]: 1 }))],
    [
      'a connection as one text',
      'EVENT_INVALID',
      () => seal(mysqlChange({}, { entity: { id: ID, name: 'x', connection: 'p4ssw0rd' } })),
    ],
    ['a human', 'NOT_A_BOT', () => seal({ ...mysqlChange(), entityType: 'user' })],
    ['a table', 'ENTITY_TYPE_UNSUPPORTED', () => seal({ ...mysqlChange(), entityType: 'table' })],
    [
      'no entity',
      'EVENT_INVALID',
      () => seal({ eventType: 'entityUpdated', entityType: 'databaseService', entityId: ID }),
    ],
    ['no id', 'EVENT_INVALID', () => seal(mysqlChange({}, { entity: { name: 'x' } }))],
    ['two ids', 'EVENT_INVALID', () => seal(mysqlChange({}, { entityId: 'another' }))],
    ['a time in seconds with fractions', 'EVENT_INVALID', () => seal(mysqlChange({}, { timestamp: 1.5 }))],
    [
      'a time far ahead',
      'TIMESTAMP_IMPLAUSIBLE',
      () => seal(mysqlChange({}, { timestamp: Date.now() + 7_200_000 })),
    ],
    [
      'a circle',
      'EVENT_INVALID',
      () => {
        const entity = { id: ID, name: 'x' } as JsonObject;
        entity['p4ssw0rd'] = entity;
        return seal(mysqlChange({}, { entity }));
      },
    ],
    [
      'a SecretValue, which would go out as the text [secret]',
      'EVENT_INVALID',
      () => seal(mysqlChange({ password: new SecretValue('p4ssw0rd') as unknown as Json })),
    ],
    [
      'an event type of nobody',
      'EVENT_INVALID',
      () => seal(mysqlChange({}, { eventType: 'entityLost' as never })),
    ],
    ['an empty id', 'EVENT_INVALID', () => seal(mysqlChange({}, { id: '' }))],
    [
      'a secret by name where that is to be refused',
      'SECRET_BY_NAME_REFUSED',
      () => seal(mysqlChange({ connectionOptions: { apiKey: 'p4ssw0rd' } }), { rules: { byName: 'refuse' } }),
    ],
    ['no key', 'CONFIG_INVALID', () => sealer({ fernetKeys: '' })],
    ['a bad key', 'CONFIG_INVALID', () => sealer({ fernetKeys: 'p4ssw0rd' })],
    ['a catalogue that is not there', 'CONFIG_INVALID', () => sealer({ rules: { catalogFile: '/nowhere' } })],
  ])('%s', (_, code, work) => {
    expect(codeOf(work)).toBe(code);
  });
});
