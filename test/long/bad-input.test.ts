import { CompressionTypes, type IHeaders } from 'kafkajs';
import { expect, it } from 'vitest';
import { unpackRecord } from '../../src/events/dead-letter.js';
import { KeyRing, tokenOf } from '../../src/fernet/index.js';
import {
  committedOffsets,
  createDatabase,
  describeWith,
  endOffsets,
  queryDatabase,
  readAll,
  waitFor,
  type ReceivedRecord,
} from '../harness/index.js';
import { writeAllCodecs } from '../harness/codecs.js';
import { quietKafka } from '../harness/quiet-kafka.js';
import { requireDeadLetterSchema } from '../harness/schemas.js';
import { createWorld, securedData, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

const AT = 1_790_000_000_000;
const CANARY = 'canaryzq-e2e';

interface BadRecord {
  readonly key: string | Buffer | null;
  readonly value: string | Buffer;
  readonly headers?: IHeaders;
  /** Null: it is applied. */
  readonly code: string | null;
}

function event(id: string, more: Record<string, unknown> = {}, config: Record<string, unknown> = {}) {
  const made = serviceEvent({ id, name: id, password: CANARY, timestampMs: AT });
  Object.assign(made.entity.connection.config, config);
  return { ...made, ...more };
}

const text = (...args: Parameters<typeof event>): string => JSON.stringify(event(...args));

function nested(levels: number): unknown {
  let value: unknown = CANARY;
  for (let level = 0; level < levels; level += 1) value = { password: value };
  return value;
}

/** What arrives when somebody's publisher is broken, or somebody tries. */
const BAD: Readonly<Record<string, BadRecord>> = {
  'no UTF-8': { key: 'utf8', value: Buffer.from([0x7b, 0xff, 0x22]), code: 'EVENT_NOT_DECODABLE' },
  'UTF-16': { key: 'utf16', value: Buffer.from(text('utf16'), 'utf16le'), code: 'EVENT_NOT_DECODABLE' },
  'a byte order mark': { key: 'bom', value: `\ufeff${text('bom')}`, code: null },
  'duplicate keys': {
    key: 'twice',
    value: text('twice').replace('{', `{"entity":{"password":"${CANARY}"},`),
    code: 'EVENT_INVALID',
  },
  'half a surrogate pair': {
    key: 'surrogate',
    value: text('surrogate', {}, { note: 'X' }).replace('"X"', '"\\ud800"'),
    code: 'EVENT_INVALID',
  },
  'a number that cannot be held': {
    key: 'number',
    value: text('number', {}, { port: 1 }).replace('"port":1', '"port":12345678901234567890'),
    code: 'NUMBER_NOT_EXACT',
  },
  'a number beyond all bounds': {
    key: 'huge',
    value: text('huge', {}, { port: 1 }).replace('"port":1', '"port":1e400'),
    code: 'NUMBER_NOT_EXACT',
  },
  depth: { key: 'deep', value: text('deep', {}, { a: nested(300) }), code: 'EVENT_TOO_DEEP' },
  'endless depth': { key: 'deeper', value: '['.repeat(100_000), code: 'EVENT_TOO_DEEP' },
  width: {
    key: 'wide',
    value: text('wide', {}, { a: Array<number>(250_000).fill(0) }),
    code: 'EVENT_TOO_LARGE',
  },
  'another version of CloudEvents': {
    key: 'version',
    value: JSON.stringify({
      specversion: '0.3',
      type: 'connection.created',
      id: 'a',
      source: '/',
      data: event('version'),
    }),
    code: 'EVENT_INVALID',
  },
  'a header that is no text': {
    key: 'header',
    value: text('header'),
    headers: { ce_specversion: Buffer.from([0xff, 0xfe]), ce_id: Buffer.from([0xff]) },
    code: 'EVENT_INVALID',
  },
  'NUL in values and keys': {
    key: 'nul',
    value: text(
      'nul',
      { userName: 'admin' },
      { note: 'a\u0000b', 'k\u0000': 'x', password: `${CANARY}\u0000` },
    ),
    code: null,
  },
  'NUL in a name': {
    key: 'nulname',
    value: JSON.stringify(
      serviceEvent({ id: 'nulname', name: 'a\u0000b', password: CANARY, timestampMs: AT }),
    ),
    code: 'EVENT_INVALID',
  },
  'emoji, right to left, and names of objects as keys': {
    key: 'names',
    value: text(
      'names',
      {},
      {
        connectionOptions: JSON.parse(
          `{"__proto__":{"password":"${CANARY}1"},"constructor":"c","🔑":"k","\u202eapiKey":"r"}`,
        ) as unknown,
      },
    ),
    code: null,
  },
  'empty texts everywhere': {
    key: 'empty',
    value: text('empty', {}, { password: '', username: '', hostPort: '', '': '' }),
    code: null,
  },
  'a name of 512 characters': {
    key: 'long',
    value: JSON.stringify(
      serviceEvent({ id: 'long', name: 'n'.repeat(512), password: CANARY, timestampMs: AT }),
    ),
    code: null,
  },
  'a value of 64 KB': {
    key: 'value',
    value: text('value', {}, { password: CANARY.padEnd(65_536, 'é') }),
    code: null,
  },
  'a key of 200,000 bytes': { key: Buffer.alloc(200_000, 'k'), value: text('bigkey'), code: null },
  'a key that is no text': {
    key: Buffer.from([0xff, 0x00]),
    value: `{"password":"${CANARY}"`,
    code: 'EVENT_NOT_DECODABLE',
  },
};
const { None, GZIP, Snappy, LZ4, ZSTD } = CompressionTypes;
const COMPRESSIONS = [None, GZIP, Snappy, LZ4, ZSTD];

interface RawRecord {
  readonly key: string | Buffer | null;
  readonly value: string | Buffer;
  readonly headers?: IHeaders;
}

async function send(
  brokers: string,
  topic: string,
  compression: CompressionTypes,
  records: readonly RawRecord[],
) {
  writeAllCodecs();
  const producer = quietKafka(brokers).producer();
  await producer.connect();
  try {
    const messages = records.map(({ key, value, headers }) => ({ key, value, ...(headers && { headers }) }));
    await producer.send({
      topic,
      compression,
      messages: messages.map((message) => ({ ...message, partition: 0 })),
    });
  } finally {
    await producer.disconnect();
  }
}

function codeOf({ headers }: ReceivedRecord): string {
  return headers['code'] ?? '';
}

/** The record that a dead letter keeps, from the topic or (where it did not fit) from the table. */
async function opened(letter: ReceivedRecord, world: World, databaseUrl: string) {
  const ring = KeyRing.parse('KEY', world.key).derive('dead-letter');
  const { headers, value } = letter;
  const place = `partition_number = ${headers['source-partition']} AND position = ${headers['source-offset']}`;
  const sealed =
    value?.toString() ??
    String(
      (await queryDatabase({ url: databaseUrl }, `SELECT payload FROM dead_letter WHERE ${place}`))[0]?.[
        'payload'
      ],
    );
  return unpackRecord(Buffer.from(ring.open(tokenOf(sealed as `fernet:${string}`)), 'utf8'));
}

describeWith(['kafka', 'postgres', 'mariadb'], 'records that nobody should send', ({ kafka }) => {
  it.each(['postgres', 'mariadb'] as const)(
    'each becomes the dead letter that says why, byte for byte, and none stops the good ones (%s)',
    async (engine) => {
      const database = await createDatabase(engine);
      const world = await createWorld({
        brokers: kafka,
        databaseUrl: database.url,
        manager: 'db',
        partitions: 1,
      });
      const worker = startWorker(world);
      const bad = Object.values(BAD);
      for (const compression of COMPRESSIONS) {
        const good = { key: `good-${compression}`, value: text(`good-${compression}`) };
        await send(kafka, world.topics.created, compression, [...bad, good]);
      }
      const refused = bad.filter(({ code }) => code !== null).length * COMPRESSIONS.length;
      const letters = await waitFor(
        async () => {
          const all = await readAll(world.topics.deadLetter, { brokers: kafka });
          return all.length >= refused ? all : null;
        },
        { what: `${refused} dead letters`, timeoutMs: 60_000 },
      );
      await waitFor(
        async () => {
          const end = (await endOffsets(world.topics.created, { brokers: kafka })).get(0);
          return (
            (
              await committedOffsets(world.env['KAFKA_GROUP_ID'] ?? '', world.topics.created, {
                brokers: kafka,
              })
            ).get(0) === end
          );
        },
        { what: 'everything committed', timeoutMs: 30_000 },
      );
      expect(worker.running).toBe(true);
      for (const [index, letter] of letters.entries()) {
        requireDeadLetterSchema(letter);
        const offset = Number(letter.headers['source-offset']);
        const source = bad[offset % (bad.length + 1)];
        expect([letter.headers['source-topic'], codeOf(letter)], `letter ${index}`).toEqual([
          world.topics.created,
          source?.code,
        ]);
        const record = await opened(letter, world, database.url);
        expect(record.value?.equals(Buffer.from(source?.value ?? ''))).toBe(true);
        expect(record.key).toEqual(source?.key == null ? null : Buffer.from(source.key));
      }
      const secured = await readAll(world.topics.secured, { brokers: kafka });
      const applied = new Set(secured.map((record) => securedData(record).connectionId));
      for (const compression of COMPRESSIONS) expect(applied).toContain(`good-${compression}`);
      for (const [what, { key, code }] of Object.entries(BAD))
        if (code === null && typeof key === 'string') expect(applied, what).toContain(key);
      for (const record of [...secured, ...letters])
        expect(`${record.value?.toString()} ${JSON.stringify(record.headers)}`).not.toContain(CANARY);
      expect((await worker.stop()).code).toBe(0);
      expect(worker.stdout() + worker.stderr()).not.toContain(CANARY);
    },
    180_000,
  );

  it('a dead letter too large for its topic has headers only, and the table keeps it; a key of a megabyte', async () => {
    const database = await createDatabase('postgres');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: database.url,
      manager: 'db',
      partitions: 1,
    });
    const large = { key: 'large', value: `{"password":"${CANARY}","pad":"${'x'.repeat(900_000)}` };
    const key = { key: Buffer.alloc(1_000_000, 'k'), value: text('bigkey') };
    const worker = startWorker(world);
    await send(kafka, world.topics.created, CompressionTypes.None, [large]);
    await send(kafka, world.topics.created, CompressionTypes.None, [key]);
    const [letter] = await waitFor(
      async () => {
        const all = await readAll(world.topics.deadLetter, { brokers: kafka });
        return all.length > 0 ? all : null;
      },
      { what: 'the dead letter', timeoutMs: 60_000 },
    );
    expect(letter).toMatchObject({ value: null, headers: { payload: 'table', code: 'EVENT_NOT_DECODABLE' } });
    expect((await opened(letter!, world, database.url)).value?.toString()).toBe(large.value);
    await waitFor(async () => (await readAll(world.topics.secured, { brokers: kafka })).length === 1, {
      what: 'the event with the large key',
      timeoutMs: 30_000,
    });
    expect((await worker.stop()).code).toBe(0);
  }, 120_000);
});
