import { describe, expect, it } from 'vitest';
import { KeyRing, tokenOf } from '../../../src/fernet/index.js';
import { discard, findKept, scheduleRetry } from '../../../src/database/dead-letters.js';
import { unpackRecord } from '../../../src/events/dead-letter.js';
import { sha256Hex } from '../../../src/hash.js';
import { LIMITS } from '../../../src/limits.js';
import { sealedFor } from '../../harness/index.js';
import type { SourceRecord } from '../../../src/terms.js';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  sourceRecord,
} from './events.js';
import { runPipe } from '../../../src/pipe/run-pipe.js';
import { recordDigest } from '../../../src/pipeline/unprocessed.js';
import { openBench, type Bench, type BenchWorker } from './fixture.js';

/** A key that somebody takes off a list. */
const LOST_KEY = 'gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=';
const SIGNAL = new AbortController().signal;

async function scan(bench: Bench, worker: BenchWorker, over = false): Promise<void> {
  await bench.makeDue({ over });
  await worker.pipeline.retryKept(SIGNAL);
}

describe('a mask without an original', () => {
  it('waits, and is applied as soon as the original has come', async () => {
    const { bench, worker } = await openBench();
    const masked = changeEvent({ password: MASKED, at: 2, config: { hostPort: 'b' } });
    expect(await worker.handle(sourceRecord(masked))).toBe('waiting');
    expect(bench.topics.records).toEqual([]);
    expect(await worker.handle(sourceRecord(masked))).toBe('waiting');
    expect(await bench.kept()).toEqual([{ state: 'waiting', code: 'MASK_WITHOUT_ORIGINAL' }]);
    // A payload may be as large as a row can be: the scan reads one at a time.
    const [head] = await worker.ledger.due({ allWaiting: true }, 5);
    expect(head).toMatchObject({ state: 'waiting' });
    expect(head).not.toHaveProperty('payload');
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    expect(worker.handled.slice(-2).map(({ outcome }) => outcome)).toEqual(['applied', 'applied']);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 2, source: { eventId: masked['id'] } });
    expect(await bench.kept()).toEqual([]);
    expect(await worker.handle(sourceRecord(masked))).toBe('duplicate');
    await bench.expectNoLeak();
  });

  it('several wait: applied in the order of the events, not of their arrival', async () => {
    const { bench, worker } = await openBench();
    for (const at of [4, 2, 3]) await worker.handle(eventRecord({ password: MASKED, at, config: { at } }));
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    expect(bench.topics.secured.map(({ source }) => source.offset).length).toBe(4);
    expect(bench.topics.lastOf(CONNECTION)?.entity).toMatchObject({ connection: { config: { at: 4 } } });
    expect(worker.handled.slice(-3).map(({ outcome }) => outcome)).toEqual(['applied', 'applied', 'applied']);
  });

  it('survives a restart: another process applies it', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    const other = await bench.worker();
    await other.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    expect(other.handled.map(({ outcome }) => outcome)).toEqual(['applied', 'applied']);
  });

  it('is found by the scan where the process died before it could look', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    await bench.query('SELECT 1');
    const record = eventRecord({ password: 'MARK-a', at: 1 });
    const stop = new AbortController();
    bench.store.afterPut = async () => stop.abort();
    await worker.pipeline.handle(record, stop.signal);
    expect(await bench.kept()).toHaveLength(1);
    await scan(bench, worker);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await bench.kept()).toEqual([]);
  });

  it('stays while its time is not over; then it is a dead letter, told once', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: MASKED }));
    await scan(bench, worker);
    expect(await bench.kept()).toEqual([{ state: 'waiting', code: 'MASK_WITHOUT_ORIGINAL' }]);
    await scan(bench, worker, true);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'MASK_WITHOUT_ORIGINAL' });
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'MASK_WITHOUT_ORIGINAL' }]);
    expect(bench.topics.deadLetters.map(({ headers }) => headers['code'])).toEqual(['MASK_WITHOUT_ORIGINAL']);
    await scan(bench, worker, true);
    expect(bench.topics.deadLetters).toHaveLength(1);
  });

  it('after a deletion is stale, newer than it waits', async () => {
    const { worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(deletion(2));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 1.5 }))).toBe('stale');
    expect(await worker.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('waiting');
  });

  it('at the end of a pipe all that wait are refused, however many dead letters there are', async () => {
    const { bench, worker } = await openBench();
    for (let place = 0; place < 210; place += 1)
      await worker.handle(sourceRecord('no event', { key: Buffer.from(`c${place}`), partition: place }));
    await worker.handle(eventRecord({ password: MASKED }));
    await worker.pipeline.retryKept(SIGNAL, { isEnd: true });
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'MASK_WITHOUT_ORIGINAL' });
    expect(await worker.pipeline.retryKept(SIGNAL, { isEnd: true })).toBe(0);
    expect((await bench.kept()).every(({ state }) => state === 'dead')).toBe(true);
  });

  it('that can no longer be read becomes a dead letter instead of being tried for ever', async () => {
    const { bench, worker } = await openBench();
    const { eventType: _, ...bare } = changeEvent({ password: MASKED });
    expect(await worker.handle(sourceRecord(bare))).toBe('waiting');
    const other = await bench.worker({ TOPIC_UPDATED: 'renamed.topic' });
    await other.pipeline.retryKept(SIGNAL, { isEnd: true });
    expect(await other.pipeline.retryKept(SIGNAL, { isEnd: true })).toBe(0);
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'EVENT_INVALID' }]);
  });
});

describe('dead letters', () => {
  it('the sealed payload opens to the very record; topic and table say the same', async () => {
    const { bench, worker } = await openBench();
    const record = eventRecord(
      { password: 'null', config: { authType: { password: 'MARK-a' } } },
      {
        headers: { h: Buffer.from('MARK-header') },
        key: Buffer.from(CONNECTION),
        partition: 3,
        offset: 4_000,
      },
    );
    await worker.handle(record);
    const open = (payload: string) =>
      unpackRecord(
        Buffer.from(worker.context.rings.deadLetter.open(tokenOf(payload as `fernet:${string}`)), 'utf8'),
      );
    const [row] = await bench.query('SELECT payload, connection_id FROM dead_letter');
    expect(open(String(row?.['payload']))).toEqual(record);
    const [letter] = bench.topics.deadLetters;
    expect(open(letter?.value?.toString() ?? '')).toEqual(record);
    expect(letter).toMatchObject({
      key: CONNECTION,
      headers: { code: 'VALUE_IS_THE_WORD_NULL', 'source-partition': '3', 'source-offset': '4000' },
    });
    await bench.expectNoLeak();
  });

  it('the same again (a redelivery): counted, not published again; a later full state supersedes it', async () => {
    const { bench, worker } = await openBench();
    const event = changeEvent({ password: 'null', at: 1 });
    await worker.handle(sourceRecord(event));
    await worker.handle(sourceRecord(event));
    expect(bench.topics.deadLetters).toHaveLength(1);
    const [row] = await bench.query('SELECT attempts FROM dead_letter');
    expect(Number(row?.['attempts'])).toBe(2);
    await worker.handle(eventRecord({ password: 'MARK-a', at: 2 }));
    expect(await bench.kept()).toEqual([]);
  });

  it('is told when it is committed, also where the broker is away, and once', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failures = 1;
    const record = eventRecord({ password: 5, at: 1 });
    await expect(worker.handle(record)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(worker.deadLetters).toEqual(['FIELD_NOT_A_STRING']);
    expect(worker.handled).toEqual([]);
    await bench.expireClaims();
    await worker.relay.run(SIGNAL);
    await worker.handle(record);
    expect(worker.deadLetters).toEqual(['FIELD_NOT_A_STRING']);
  });

  it('of what has waited too long is told as well', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: MASKED, at: 1 }));
    expect(worker.deadLetters).toEqual([]);
    await scan(bench, worker, true);
    expect(worker.deadLetters).toEqual(['MASK_WITHOUT_ORIGINAL']);
  });

  it('a later event that masks what it was to set is kept behind it; one that does not is not', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: 'null', at: 2 }));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('blocked');
    expect(await bench.kept()).toEqual([
      { state: 'dead', code: 'VALUE_IS_THE_WORD_NULL' },
      { state: 'dead', code: 'EVENT_BLOCKED' },
    ]);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 4 }))).toBe('applied');
    expect(await bench.kept()).toEqual([]);
  });

  it('an older dead letter does not hold back what it did not set', async () => {
    const { worker } = await openBench();
    const both = (password: string, other: string) => ({
      password,
      config: { authType: { password: other } },
    });
    await worker.handle(eventRecord({ ...both('MARK-a', 'MARK-b'), at: 1 }));
    await worker.handle(eventRecord({ ...both('null', MASKED), at: 2 }));
    expect(await worker.handle(eventRecord({ ...both('MARK-c', MASKED), at: 3 }))).toBe('applied');
  });

  it.each<[string, Buffer]>([
    ['no JSON', Buffer.from('{"password": "MARK-a"')],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0xfe])],
    ['no change event', Buffer.from('{"MARK-a": 1}')],
    [
      'a number that cannot be held',
      Buffer.from(JSON.stringify(changeEvent({})).replace('0.1', '12345678901234567890123')),
    ],
    ['no entity', Buffer.from(JSON.stringify({ ...changeEvent({}), entity: null }))],
    ['a text as timestamp', Buffer.from(JSON.stringify({ ...changeEvent({}), timestamp: 'MARK-now' }))],
  ])('undecodable, %s: holds back masks, and nothing else', async (_, value) => {
    const undecodable = sourceRecord(value, { key: Buffer.from(CONNECTION) });
    const behind = async (): Promise<{ bench: Bench; worker: BenchWorker }> => {
      const { bench, worker } = await openBench();
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      expect(await worker.handle({ ...undecodable, offset: 10_000 })).toBe('refused');
      expect(bench.topics.deadLetters[0]).toMatchObject({ key: CONNECTION });
      const masked = eventRecord({ password: MASKED, at: 2 }, { offset: 10_001 });
      expect(await worker.handle(masked)).toBe('blocked');
      return { bench, worker };
    };
    const expectSuperseded = async (bench: Bench): Promise<void> => {
      expect(await bench.kept()).toEqual([]);
      const rows = await bench.query(`SELECT detail FROM audit WHERE action = 'supersede' ORDER BY detail`);
      expect(rows.map(({ detail }) => String(detail).split(':')[0]).toSorted()).toEqual(
        ['EVENT_BLOCKED', bench.workers[0]?.handled[1]?.code].toSorted(),
      );
      await bench.expectNoLeak();
    };
    const full = await behind();
    const corrected = eventRecord({ password: 'MARK-b', at: 3 }, { offset: 10_002 });
    expect(await full.worker.handle(corrected)).toBe('applied');
    expect(await full.bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    await expectSuperseded(full.bench);
    // A replay of all of it brings nothing back.
    expect(await full.worker.handle({ ...undecodable, offset: 10_000 })).toBe('duplicate');
    await expectSuperseded(full.bench);

    const gone = await behind();
    expect(await gone.worker.handle(deletion(4))).toBe('applied');
    expect(await gone.bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    await expectSuperseded(gone.bench);
  });

  it('an event without masks that was published before an undecodable one leaves it', async () => {
    const { bench, worker } = await openBench();
    const place = { topic: 'connection.created', key: Buffer.from(CONNECTION) };
    await worker.handle(sourceRecord('no event', { ...place, timestampMs: 20 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }, { timestampMs: 10 }))).toBe(
      'applied',
    );
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'EVENT_NOT_DECODABLE' }]);
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }, { timestampMs: 30 }))).toBe(
      'applied',
    );
    expect(await bench.kept()).toEqual([]);
  });

  it('a mask behind an undecodable one is applied once that is discarded and it is retried', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(sourceRecord('no event', { key: Buffer.from(CONNECTION) }));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 2, config: { a: 1 } }))).toBe('blocked');
    const by = { actor: 'cli:tester', reason: null };
    await discard(worker.database, { code: 'EVENT_NOT_DECODABLE' }, by);
    await scheduleRetry(worker.database, { code: 'EVENT_BLOCKED' });
    await worker.pipeline.retryKept(SIGNAL);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ entity: { connection: { config: { a: 1 } } } });
    expect(await bench.kept()).toEqual([]);
  });

  it('an older text that arrives late does not take an undecodable one away, nor one it knows nothing of', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, at: 4 }));
    await worker.handle(sourceRecord('no event', { key: Buffer.from(CONNECTION) }));
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'EVENT_NOT_DECODABLE' }]);
  });

  it('undecodable without a connection: kept alone, with its topic record', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(sourceRecord('MARK- no event'));
    expect(bench.topics.deadLetters[0]).toMatchObject({
      key: null,
      headers: { code: 'EVENT_NOT_DECODABLE' },
    });
    const [row] = await bench.query('SELECT connection_id FROM dead_letter');
    expect(row).toEqual({ connection_id: null });
    await bench.expectNoLeak();
  });

  it('undecodable without a connection, come again: counted, not published again', async () => {
    const { bench, worker } = await openBench();
    const record = sourceRecord('no event');
    for (let times = 0; times < 3; times += 1) expect(await worker.handle(record)).toBe('refused');
    expect(bench.topics.deadLetters).toHaveLength(1);
    const [row] = await bench.query('SELECT attempts FROM dead_letter');
    expect(Number(row?.['attempts'])).toBe(3);
    expect(await bench.query(`SELECT 1 FROM audit WHERE action = 'refuse'`)).toHaveLength(1);
  });

  it('undecodable without a connection while the broker is away: the relay publishes it', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failures = 1;
    await expect(worker.handle(sourceRecord('no event'))).rejects.toMatchObject({ retryable: true });
    expect(await worker.relay.run(SIGNAL)).toBe(1);
    expect(bench.topics.deadLetters).toHaveLength(1);
    expect(await worker.relay.run(SIGNAL)).toBe(0);
  });

  it('a refused event is tried again when it is replayed, and its dead letter goes', async () => {
    const { bench, worker } = await openBench();
    const otherKey = 'YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8=';
    const event = changeEvent({ password: sealedFor(otherKey, CONNECTION, 'MARK-a') });
    await worker.handle(sourceRecord(event));
    expect(worker.last()).toMatchObject({ code: 'TOKEN_NOT_OPENED' });
    const repaired = await bench.worker({ PUBLISHER_FERNET_KEY: otherKey });
    expect(await repaired.handle(sourceRecord(event))).toBe('applied');
    expect(await bench.kept()).toEqual([]);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });
});

describe('one id that the store denies while it grants others', () => {
  it('waits and is applied once it is granted; on all: nothing is kept, the record comes again', async () => {
    const { bench, worker } = await openBench();
    bench.store.arm('access', { secretId: PASSWORD_ID, times: 3 });
    const event = eventRecord({ password: 'MARK-a' });
    await expect(worker.handle(event)).rejects.toMatchObject({ code: 'STORE_ACCESS' });
    expect(await bench.kept()).toEqual([]);
    await worker.handle(eventRecord({ id: 'c2', name: 'granted', password: 'MARK-b' }));
    expect(await worker.handle(event)).toBe('waiting');
    expect(await bench.kept()).toEqual([{ state: 'waiting', code: 'STORE_DENIED' }]);
    await scan(bench, worker);
    expect(worker.last()).toMatchObject({ outcome: 'waiting' });
    await scan(bench, worker);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await bench.stored()).toMatchObject({ [PASSWORD_ID]: 'live' });
    await bench.expectNoLeak();
  });

  it('is told from credentials that are refused: these concern every id, nothing is kept', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ id: 'c2', name: 'granted', password: 'MARK-b' }));
    bench.store.arm('credentials');
    const event = eventRecord({ password: 'MARK-a' });
    await expect(worker.handle(event)).rejects.toMatchObject({ code: 'STORE_ACCESS' });
    expect(await bench.kept()).toEqual([]);
    expect(await worker.handle(event)).toBe('applied');
  });

  it('is refused after its time; the value that was live stays live', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    bench.store.arm('access', { secretId: PASSWORD_ID, times: 2 });
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('waiting');
    await scan(bench, worker, true);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'STORE_DENIED' });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });
});

describe('a kept event under a key that is not in the list any more', () => {
  const NEW_KEYS = { DEAD_LETTER_FERNET_KEY: LOST_KEY };

  it('harms only itself: it stays kept, is tried less and less often, and is handled when the key is back', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    await worker.handle(eventRecord({ id: OTHER, name: 'other', password: 'null', at: 1 }));
    const payloads = () => bench.query('SELECT event_hash, payload FROM dead_letter ORDER BY event_hash');
    const before = await payloads();

    const other = await bench.worker(NEW_KEYS);
    await scheduleRetry(worker.database, {});
    await other.handle(eventRecord({ id: 'c3', name: 'third', password: MASKED, at: 2 }));
    await scan(bench, other);
    expect(other.failures).toMatchObject([{ code: 'KEY_MISSING' }, { code: 'KEY_MISSING' }]);
    expect(String(other.failures[0])).toContain('DEAD_LETTER_FERNET_KEY');
    expect(other.handled.map(({ connectionId, outcome }) => [connectionId, outcome])).toEqual([
      ['c3', 'waiting'],
      ['c3', 'waiting'],
    ]);
    const kept = await findKept(worker.database, { code: 'KEY_MISSING' });
    expect(kept.map(({ state }) => state).sort()).toEqual(['dead', 'waiting']);
    for (const { detail } of kept) expect(detail).toMatch(/MASK_WITHOUT_ORIGINAL|VALUE_IS_THE_WORD_NULL/);
    expect(await payloads()).toEqual(expect.arrayContaining(before));

    // The end of a pipe tries all that waits, and ends; so does a commit of the connection.
    while ((await other.pipeline.retryKept(SIGNAL, { isEnd: true })) > 0);
    expect(await other.handle(eventRecord({ password: 'MARK-a', at: 1 }))).toBe('applied');
    expect(await findKept(worker.database, { code: 'KEY_MISSING' })).toHaveLength(2);
    await scan(bench, other);
    const due = await bench.query(
      `SELECT attempts, next_attempt_at_ms - updated_at_ms AS later FROM dead_letter WHERE code = 'KEY_MISSING'`,
    );
    expect(due.map(({ attempts, later }) => [Number(attempts), Number(later)])).toEqual([
      [3, 40_000],
      [3, 40_000],
    ]);

    await scan(bench, worker);
    expect(bench.topics.securedOf(CONNECTION).map(({ revision }) => revision)).toEqual([1, 2]);
    expect(await findKept(worker.database, {})).toMatchObject([
      { state: 'dead', code: 'VALUE_IS_THE_WORD_NULL', connectionId: OTHER },
      { state: 'dead', code: 'MASK_WITHOUT_ORIGINAL', connectionId: 'c3' },
    ]);
    await bench.expectNoLeak();
  });
});

describe('a record to be published that no key opens', () => {
  it('holds nothing back, stays unsent, and is told', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failures = 3;
    for (const at of [1, 2]) {
      await worker.handle(eventRecord({ password: 'MARK-a', config: { at }, at })).catch(() => undefined);
      await bench.expireClaims();
    }
    await worker.handle(sourceRecord('no event')).catch(() => undefined);
    const { database } = worker;
    const rows = await database.run(({ manager, tables }) => manager.find(tables.outbox));
    expect(rows).toHaveLength(2);
    const seal = (payload?: string): Promise<unknown> =>
      database.run(async ({ manager, tables }) => {
        for (const { id, payload: own } of rows)
          await manager.update(tables.outbox, { id }, { payload: payload ?? own });
      });
    await seal(`fernet:${KeyRing.parse('K', LOST_KEY).seal('lost')}`);
    expect(await worker.relay.run(SIGNAL)).toBe(1);
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 3 }))).toBe('applied');
    expect(bench.topics.securedOf(CONNECTION).map(({ revision }) => revision)).toEqual([2, 3]);
    expect(await worker.relay.run(SIGNAL)).toBe(0);
    await seal();
    expect(await worker.relay.run(SIGNAL)).toBe(2);
  });
});

describe('lines of a pipe: every file has a line 0', () => {
  /** One run over a file; outcomes in the order of the lines. */
  async function pipe(worker: BenchWorker, ...lines: string[]): Promise<string[]> {
    const { handled, context, pipeline, relay } = worker;
    const before = handled.length;
    const nothing = (): Promise<number> => Promise.resolve(0);
    async function* input(): AsyncGenerator<Buffer> {
      yield await Promise.resolve(Buffer.from(lines.join('\n')));
    }
    const parts = {
      topics: {
        created: 'connection.created',
        updated: 'connection.updated',
        deleted: 'connection.deleted',
      },
      digestOf: (record: SourceRecord) => recordDigest(record, context.fingerprintKey),
      handle: (record: SourceRecord) => pipeline.handle(record, SIGNAL),
      relay: (signal: AbortSignal) => relay.run(signal),
      retryDue: (signal: AbortSignal) => pipeline.retryKept(signal),
      refuseWaiting: nothing,
      moveRest: nothing,
      lookAfter: nothing,
      tidyUp: nothing,
      onRetry: () => undefined,
      concurrency: 1,
    };
    await runPipe(input(), parts, SIGNAL);
    return handled.slice(before).map(({ outcome }) => outcome);
  }
  const line = (spec: Parameters<typeof changeEvent>[0], more = {}): string =>
    JSON.stringify({ ...changeEvent(spec), ...more });

  it('an unrelated line in its place does not take a dead letter away, nor pass by it', async () => {
    const { bench, worker } = await openBench();
    await pipe(worker, '', line({ password: 'MARK-a', at: 1 }));
    await pipe(worker, line({ password: 'MARK-b' }, { timestamp: 'yesterday' }));
    expect(await pipe(worker, line({ password: MASKED, at: 3 }))).toEqual(['blocked']);
    expect((await bench.kept()).map(({ code }) => code).toSorted()).toEqual([
      'EVENT_BLOCKED',
      'EVENT_INVALID',
    ]);
    const [row] = await bench.query(`SELECT payload FROM dead_letter WHERE code = 'EVENT_INVALID'`);
    const payload = worker.context.rings.deadLetter.open(tokenOf(row?.['payload'] as `fernet:${string}`));
    expect(unpackRecord(Buffer.from(payload)).value?.toString()).toContain('MARK-b');
  });

  it('the same line is the same dead letter wherever it stands, another one in its place is another', async () => {
    const { bench, worker } = await openBench();
    await pipe(worker, 'MARK-1 no event');
    await pipe(worker, 'MARK-2 no event', '', 'MARK-1 no event');
    expect(await bench.kept()).toHaveLength(2);
    expect(bench.topics.deadLetters).toHaveLength(2);
    await bench.expectNoLeak();
  });

  it('one that is too long is known by a keyed digest, not by one that anybody can compute', async () => {
    const { bench, worker } = await openBench();
    const long = 'x'.repeat(LIMITS.recordBytes + 1);
    for (const prefix of [[], ['']]) await pipe(worker, ...prefix, long);
    const [row, ...others] = await bench.query('SELECT payload FROM dead_letter');
    expect(others).toEqual([]);
    const payload = worker.context.rings.deadLetter.open(tokenOf(row?.['payload'] as `fernet:${string}`));
    const { digest, unread } = unpackRecord(Buffer.from(payload));
    expect(unread).toMatchObject({ reason: 'record-bytes', digest });
    expect(payload).not.toContain(sha256Hex(long));
  });

  it('events without an id at one place and time are told apart by their content', async () => {
    const { bench, worker } = await openBench();
    const bare = (password: string, version: number): string =>
      line({ password, at: 1, version }, { id: undefined });
    expect(await pipe(worker, bare('MARK-a', 1))).toEqual(['applied']);
    expect(await pipe(worker, bare('MARK-b', 2))).toEqual(['applied']);
    expect(await pipe(worker, '', bare('MARK-b', 2))).toEqual(['duplicate']);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    await bench.expectNoLeak();
  });

  it('a later file supersedes what an earlier one left unread', async () => {
    const { bench, worker } = await openBench();
    await pipe(worker, '', '', line({ password: 'MARK-a' }, { timestamp: 'yesterday' }));
    expect(await pipe(worker, line({ password: 'MARK-b', at: 3 }))).toEqual(['applied']);
    expect(await bench.kept()).toEqual([]);
  });
});

describe('a connection with thousands of dead letters', () => {
  /** Kept events that the decisions of a worker were given. */
  function countHeads({ ledger }: BenchWorker): () => number {
    let heads = 0;
    const claim = ledger.claim.bind(ledger);
    ledger.claim = (requests) =>
      claim(
        requests.map((request) => ({
          ...request,
          decide: (state) => {
            heads += state.deadLetters.length;
            return request.decide(state);
          },
        })),
      );
    return () => heads;
  }
  const MANY = 250;

  it.each([
    ['refused for itself', (at: number) => eventRecord({ password: 'null', at })],
    ['undecodable', () => sourceRecord('no event', { key: Buffer.from(CONNECTION) })],
    ['behind another one', (at: number) => eventRecord({ password: MASKED, at })],
  ])(
    '%s: what each one reads does not grow with them, and a full state supersedes all',
    async (_, recordOf) => {
      const { bench, worker } = await openBench();
      await worker.handle(sourceRecord('no event', { key: Buffer.from(CONNECTION) }));
      for (let at = 1; at <= 50; at += 1) await worker.handle(recordOf(at));
      const heads = countHeads(worker);
      for (let at = 51; at <= MANY; at += 1) await worker.handle(recordOf(at));
      expect(await bench.kept()).toHaveLength(MANY + 1);
      // A hundred at once, and its own.
      expect(heads()).toBeLessThanOrEqual((MANY - 50) * 102);
      const half = heads();
      expect(await worker.handle(eventRecord({ password: 'MARK-a', at: MANY + 1 }))).toBe('applied');
      expect(heads() - half).toBe(MANY + 1);
      expect(await bench.kept()).toEqual([]);
    },
  );
});
