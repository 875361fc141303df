import { beforeAll, describe, expect, it } from 'vitest';
import { findKept, scheduleRetry } from '../../../src/database/dead-letters.js';
import { recordDigest } from '../../../src/pipeline/unprocessed.js';
import { findTokens, rawToken, replaceToken } from '../../../src/database/tokens.js';
import { unpackRecord } from '../../../src/events/dead-letter.js';
import { KeyRing, tokenOf } from '../../../src/fernet/index.js';
import type { SourceRecord, Unread } from '../../../src/terms.js';
import { describeWith, describeWithOwn, queryDatabase, startMariadb } from '../../harness/index.js';
import { requireDeadLetterSchema } from '../../harness/schemas.js';
import {
  changeEvent,
  CONNECTION,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  sourceRecord,
} from '../../components/pipeline/events.js';
import { KEYS, openBench, type Bench, type BenchWorker } from '../../components/pipeline/fixture.js';

const SIGNAL = new AbortController().signal;
const TOPIC = 'connection.created';
const PLACE = { topic: TOPIC, partition: 3, offset: 45 };
const LETTERS = KeyRing.parse('DEAD_LETTER_FERNET_KEY', KEYS.DEAD_LETTER_FERNET_KEY);

/** What the consumer hands on of a record, or of a whole batch, that is over a limit. */
function overLimit(unread: Unread, key: string | null): SourceRecord {
  return sourceRecord('', { ...PLACE, key: key === null ? null : Buffer.from(key), value: null, unread });
}

const RECORD: Unread = { reason: 'record-bytes', size: 9_000_001, firstOffset: 45 };
const HEADERS: Unread = { reason: 'record-headers', size: 2_002, firstOffset: 45 };
const BATCH: Unread = { reason: 'batch-bytes', size: 34_003, firstOffset: 41 };

const opened = (sealed: unknown): SourceRecord =>
  unpackRecord(Buffer.from(LETTERS.open(tokenOf(String(sealed) as `fernet:${string}`)), 'utf8'));

describe.each([
  ['a record of a connection', RECORD, CONNECTION, `${TOPIC}/3 45`],
  ['a record without a key', RECORD, null, `${TOPIC}/3 45`],
  ['too many headers', HEADERS, CONNECTION, `${TOPIC}/3 45`],
  ['a batch', BATCH, null, `${TOPIC}/3 41 to 45`],
])('over a limit: %s', (_what, unread, key, place) => {
  it('is one dead letter that names its place and size, however often it comes', async () => {
    const { bench, worker } = await openBench();
    const record = overLimit(unread, key);
    await worker.handle(record);
    // As after an offset that was not committed: later, and by another worker.
    await (await bench.worker()).handle({ ...record, timestampMs: record.timestampMs + 1 });

    const rows = await bench.query('SELECT * FROM dead_letter');
    expect(rows).toHaveLength(1);
    const [row] = rows;
    expect(row).toMatchObject({ state: 'dead', code: 'EVENT_TOO_LARGE', connection_id: key, topic: TOPIC });
    expect([Number(row?.['partition_number']), Number(row?.['position'])]).toEqual([3, 45]);
    expect(String(row?.['detail'])).toContain(String(unread.size));
    expect(String(row?.['detail'])).toContain(place);
    expect(opened(row?.['payload'])).toMatchObject({ ...PLACE, value: null, unread });

    const [letter] = bench.topics.deadLetters;
    requireDeadLetterSchema(letter!);
    expect(letter).toMatchObject({
      key,
      headers: {
        code: 'EVENT_TOO_LARGE',
        'source-topic': TOPIC,
        'source-partition': '3',
        'source-offset': '45',
        payload: 'sealed',
      },
    });
    expect(opened(letter?.value)).toEqual(record);
  });

  it('stays as it is when it is retried, and is not told again', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(overLimit(unread, key));
    const before = await bench.query('SELECT event_hash, detail FROM dead_letter');
    const told = bench.topics.deadLetters.length;
    await scheduleRetry(worker.database, { state: 'dead' });
    await worker.pipeline.retryKept(SIGNAL);
    expect(await findKept(worker.database, {})).toMatchObject([
      { state: 'dead', code: 'EVENT_TOO_LARGE', attempts: 2 },
    ]);
    expect(await bench.query('SELECT event_hash, detail FROM dead_letter')).toEqual(before);
    expect(bench.topics.deadLetters).toHaveLength(told);
  });
});

it('what comes for the same connection behind a record over a limit is applied', async () => {
  const { bench, worker } = await openBench();
  await worker.handle(overLimit(RECORD, CONNECTION));
  expect(await worker.handle(eventRecord({ password: 'MARK-a' }))).toBe('applied');
  expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
});

/** As a database does whose rows have a limit, at which a dead letter of a short event still fits. */
async function limitRows(worker: BenchWorker): Promise<void> {
  await worker.database.transaction(async ({ manager }) => {
    for (const [table, column] of [
      ['dead_letter', 'payload'],
      ['connection', 'entity'],
    ] as const)
      for (const when of ['INSERT', 'UPDATE'] as const)
        await manager.query(
          `CREATE TRIGGER limit_${table}_${when} BEFORE ${when} ON ${table} WHEN LENGTH(NEW.${column}) > 20000
           BEGIN SELECT RAISE(ABORT, 'too long'); END`,
        );
  });
}

const LONG = { description: 'x'.repeat(30_000) };

async function onlyKept(bench: Bench): Promise<{ row: Record<string, unknown>; record: SourceRecord }> {
  const rows = await bench.query('SELECT * FROM dead_letter');
  expect(rows).toHaveLength(1);
  const row = rows[0]!;
  return { row, record: opened(row['payload']) };
}

describe('a record whose dead letter the database refuses, too', () => {
  it.each<[string, (worker: BenchWorker, bench: Bench) => SourceRecord, string]>([
    ['its state', () => eventRecord({ password: 'MARK-a', config: LONG }), CONNECTION],
    ['its state without a secret', () => eventRecord({ config: LONG }), CONNECTION],
    ['it would wait', () => eventRecord({ password: MASKED, config: LONG }), CONNECTION],
    ['it is refused', () => eventRecord({ password: 'null', config: LONG }), CONNECTION],
    [
      'the store refuses it',
      (_, bench) => {
        bench.store.arm('not-owned', { secretId: PASSWORD_ID, times: 9 });
        return eventRecord({ password: 'MARK-a', config: LONG });
      },
      CONNECTION,
    ],
    [
      'undecodable',
      () => sourceRecord(`MARK-${'x'.repeat(30_000)}`, { key: Buffer.from(CONNECTION) }),
      CONNECTION,
    ],
    ['undecodable, of nobody', () => sourceRecord(`MARK-${'x'.repeat(30_000)}`), 'null'],
  ])('%s: is kept without its payload, and harms nobody else', async (_, recordOf, connection) => {
    const { bench, worker } = await openBench();
    await limitRows(worker);
    const given = recordOf(worker, bench);
    expect(await worker.handle(given)).toBe('refused');
    const { row, record } = await onlyKept(bench);
    expect(row).toMatchObject({ state: 'dead', code: 'EVENT_NOT_STORABLE', topic: given.topic });
    expect(String(row['connection_id'])).toBe(connection);
    expect(String(row['detail'])).toContain(`${given.topic}/${given.partition} ${given.offset}`);
    const size = (given.key?.length ?? 0) + given.value!.length;
    // Keyed: of a value whose every other byte is known a plain digest would let a password be guessed.
    const digest = recordDigest(given, worker.context.fingerprintKey);
    expect(record).toMatchObject({ value: null, headers: {}, unread: { reason: 'row-bytes', size, digest } });
    expect(bench.topics.deadLetters).toHaveLength(1);

    // It comes again (killed before the offset was committed), and is retried: it stays the one dead letter.
    expect(await worker.handle(given)).toBe('refused');
    expect(bench.topics.deadLetters).toHaveLength(1);
    await scheduleRetry(worker.database, { state: 'dead' });
    await worker.pipeline.retryKept(SIGNAL);
    const again = await onlyKept(bench);
    expect(again.row).toMatchObject({
      event_hash: row['event_hash'],
      code: 'EVENT_NOT_STORABLE',
      next_attempt_at_ms: null,
    });
    expect(bench.topics.deadLetters).toHaveLength(1);

    bench.store.disarm();
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    expect(await worker.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-c' }))).toBe(
      'applied',
    );
    await bench.expectNoLeak();
  });
});

describeWith(['mariadb'], 'a record of the largest size, and max_allowed_packet as it comes', () => {
  it('is kept whole as a dead letter; what comes behind it is applied', async () => {
    const { bench, worker } = await openBench({ engine: 'mariadb' });
    // Its bytes are doubled in a statement, and grow by 7/9 as a payload.
    const event = changeEvent({ password: 'MARK-a', config: { description: 'ü'.repeat(1_000_000) } });
    expect(await worker.handle(sourceRecord(event))).toBe('refused');
    const { row, record } = await onlyKept(bench);
    expect(row).toMatchObject({ code: 'OUTPUT_TOO_LARGE', connection_id: CONNECTION });
    expect(record.unread).toBeUndefined();
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    await bench.expectNoLeak();
  });

  it('is sealed anew where it is kept, as far as a row goes', async () => {
    const { bench, worker } = await openBench({ engine: 'mariadb' });
    await worker.handle(eventRecord({ password: 'null', config: { description: 'x'.repeat(2_000_000) } }));
    const { database } = worker;
    const [stored] = (await database.run((tx) => findTokens(tx, 'dead_letter', ''))).tokens;
    const other = LETTERS.rotate(rawToken(stored!));
    const replace = (): Promise<boolean> => database.transaction((tx) => replaceToken(tx, stored!, other));
    expect(await replace()).toBe(true);
    expect((await onlyKept(bench)).row).toMatchObject({ payload: `fernet:${other}` });
    expect(await replace()).toBe(false);
  });
});

describeWithOwn(['mariadb'], 'a server with a small max_allowed_packet', () => {
  let server: string;
  beforeAll(async () => {
    server = (await startMariadb()).address;
    // Of the sessions that begin from now on.
    await queryDatabase({ url: server }, 'SET GLOBAL max_allowed_packet = 1048576');
  });

  const TOO_LONG = { description: 'x'.repeat(900_000) };
  it.each<[string, SourceRecord]>([
    ['a good event', eventRecord({ password: 'MARK-a', config: { description: 'x'.repeat(1_100_000) } })],
    ['one that is refused', eventRecord({ password: 'null', config: TOO_LONG })],
    ['one that would wait', eventRecord({ password: MASKED, config: TOO_LONG })],
    ['an undecodable one', sourceRecord(`MARK-${'x'.repeat(900_000)}`, { key: Buffer.from(CONNECTION) })],
  ])(
    '%s beyond it is kept without its payload; what comes with and behind it is applied',
    async (_, long) => {
      const { bench, worker } = await openBench({ engine: 'mariadb', server });
      const beside = Array.from({ length: 8 }, (__, number) =>
        eventRecord({ id: `beside-${number}`, name: `beside ${number}`, password: `MARK-${number}` }),
      );
      const outcomes = await Promise.all([long, ...beside].map((record) => worker.handle(record)));
      expect(outcomes).toEqual(['refused', ...beside.map(() => 'applied')]);
      const { row, record } = await onlyKept(bench);
      expect(row).toMatchObject({ state: 'dead', code: 'EVENT_NOT_STORABLE', connection_id: CONNECTION });
      expect(record).toMatchObject({ value: null, headers: {}, unread: { reason: 'row-bytes' } });

      // As after a kill before the offset was committed: another worker, the same record.
      const next = await bench.worker();
      expect(await next.handle(long)).toBe('refused');
      expect(bench.topics.deadLetters).toHaveLength(1);
      expect(await next.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
      expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
      await bench.expectNoLeak();
    },
  );
});
