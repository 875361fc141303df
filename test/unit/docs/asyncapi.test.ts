import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { topicOfEventType } from '../../../src/events/decode.js';
import { createChangeSealer } from '../../../src/publisher/index.js';
import type { EventType, Json, JsonObject } from '../../../src/terms.js';
import { asyncApi, messagesOf, problemOf, requireMessage } from '../../harness/asyncapi.js';
import type { ChannelName, KafkaRecord } from '../../harness/asyncapi.js';
import { PROJECT_DIR } from '../../harness/index.js';
import { sampleRecords } from '../events/support.js';
import { mysqlChange } from '../publisher/support.js';

const CHANNELS = ['created', 'updated', 'deleted', 'secured', 'deadLetter'] as const;

/** The official JSON Schema of AsyncAPI 3.0.0 documents, all its parts within. */
function documentSchema(): object {
  const { schemas } = createRequire(import.meta.url)('@asyncapi/specs') as {
    schemas: Record<string, object>;
  };
  return schemas['3.0.0']!;
}

function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key === '$ref' && typeof member === 'string' ? [member] : referencesIn(member),
  );
}

function isLocalTarget(reference: string): boolean {
  let at: unknown = asyncApi();
  for (const key of reference.slice(2).split('/')) {
    at = typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined;
  }
  return at !== undefined;
}

/** What a record of the samples is to the worker's program: the topic is the channel's address. */
const channelOf = (topic: string): ChannelName | undefined =>
  CHANNELS.find((channel) => asyncApi().channels[channel].address === topic);

describe('docs/asyncapi.yaml', () => {
  it('is an AsyncAPI 3.0 document', () => {
    // It brings the meta schema of draft 07 along.
    const bare = { meta: false, validateSchema: false } as const;
    const ajv = new Ajv({ allErrors: true, strict: false, logger: false, ...bare });
    addFormats.default(ajv);
    const validate = ajv.compile(documentSchema());
    expect(validate(asyncApi()), JSON.stringify(validate.errors?.slice(0, 5))).toBe(true);
    expect(validate({ ...asyncApi(), asyncapi: '2.6.0' })).toBe(false);
    expect(validate({ ...asyncApi(), operations: { x: { action: 'publish' } } })).toBe(false);
  });

  it('refers to what is there', () => {
    const references = referencesIn(asyncApi());
    expect(references.length).toBeGreaterThan(20);
    const missing = references.filter((reference) =>
      reference.startsWith('#/')
        ? !isLocalTarget(reference)
        : !existsSync(join(PROJECT_DIR, 'docs', reference)),
    );
    expect(missing).toEqual([]);
  });

  it('has the topics and the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(asyncApi()).toMatchObject({ info: { version } });
    expect(CHANNELS.map((channel) => asyncApi().channels[channel].address)).toEqual([
      'connection.created',
      'connection.updated',
      'connection.deleted',
      'connection.secured',
      'connection.dead-letter',
    ]);
  });

  it.each(CHANNELS.flatMap((channel) => messagesOf(channel).map((message) => [channel, message] as const)))(
    'has examples in %s that are the message they stand for',
    (_, message) => {
      expect(message.examples.length).toBeGreaterThan(0);
      for (const { headers, payload } of message.examples) {
        const value = payload === null || typeof payload === 'string' ? payload : JSON.stringify(payload);
        expect(
          problemOf(message, { key: 'k', value, ...(headers === undefined ? {} : { headers }) }),
        ).toBeNull();
      }
    },
  );

  it.each<[string, ChannelName, KafkaRecord]>([
    ['a change without a type of entity', 'updated', { value: '{"id":"1"}' }],
    [
      'a change under no key',
      'updated',
      { key: null, value: '{"entityType":"databaseService","entity":{"name":"n"}}' },
    ],
    ['a secured event without headers', 'secured', { value: '{}', headers: {} }],
    [
      'a dead letter in the clear',
      'deadLetter',
      { value: '{"password":"x"}', headers: deadLetterHeaders('sealed') },
    ],
    ['a dead letter without a code', 'deadLetter', { value: null, headers: { payload: 'table' } }],
  ])('refuses %s', (_, channel, record) => {
    expect(() => {
      requireMessage(channel, record);
    }).toThrow(/docs\/asyncapi.yaml/);
  });
});

describe('the samples are messages of docs/asyncapi.yaml', () => {
  const lines = readFileSync(join(PROJECT_DIR, 'examples', 'events', 'connections.ndjson'), 'utf8').trim();
  it.each(lines.split('\n').map((line) => [line] as const))('examples/events: %#', (line) => {
    const { topic, key, headers, value } = JSON.parse(line) as {
      topic: string;
      key: string;
      headers?: Record<string, string>;
      value: Json;
    };
    const channel = channelOf(topic);
    if (channel === undefined) throw new Error(`no channel ${topic}`);
    requireMessage(channel, {
      key,
      value: JSON.stringify(value),
      ...(headers === undefined ? {} : { headers }),
    });
  });

  it.each(sampleRecords().map(({ value }) => [value] as const))('test/unit/events/data: %#', (value) => {
    requireMessage('updated', { value: JSON.stringify(value), headers: envelopeHeaders(value) });
  });
});

describe('what the publisher writes is a message of docs/asyncapi.yaml', () => {
  const changes: EventType[] = [
    'entityCreated',
    'entityUpdated',
    'entitySoftDeleted',
    'entityRestored',
    'entityDeleted',
  ];
  it.each(
    changes.flatMap((type) => (['structured', 'binary'] as const).map((mode) => [type, mode] as const)),
  )('%s, %s', (eventType, mode) => {
    const sealer = createChangeSealer({ fernetKeys: generateKey(), mode });
    const record = sealer.seal(mysqlChange({ password: 'p' }, { eventType }));
    const channel = channelOf(record.topic);
    expect(channel).toBe(channelOf(topicOfEventType(eventType, TOPICS)));
    if (channel === undefined) throw new Error(`no channel ${record.topic}`);
    const wanted = messagesOf(channel).find(({ name }) => name === `${mode}Change`);
    expect(problemOf(wanted!, record)).toBeNull();
  });
});

const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
};

function envelopeHeaders(value: JsonObject): Record<string, string> {
  return 'specversion' in value ? { 'content-type': 'application/cloudevents+json' } : {};
}

function deadLetterHeaders(payload: string): Record<string, string> {
  const source = { 'source-topic': 't', 'source-partition': '0', 'source-offset': '1' };
  return { code: 'EVENT_INVALID', ...source, time: '2026-09-21T14:23:22.000Z', payload };
}
