import { describe, expect, it } from 'vitest';
import { tokenOf } from '../../../src/fernet/index.js';
import { unpackRecord } from '../../../src/events/dead-letter.js';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  PASSWORD_ID,
  sourceRecord,
} from './events.js';
import { openBench, type Bench, type BenchWorker } from './fixture.js';

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
      'a number that can not be held',
      Buffer.from(JSON.stringify(changeEvent({})).replace('0.1', '12345678901234567890123')),
    ],
  ])('undecodable, %s: what follows with its key is kept behind it', async (_, value) => {
    const { bench, worker } = await openBench();
    await worker.handle(sourceRecord(value, { key: Buffer.from(CONNECTION) }));
    expect(worker.last()).toMatchObject({ outcome: 'refused' });
    expect(bench.topics.deadLetters[0]).toMatchObject({ key: CONNECTION });
    expect(await worker.handle(eventRecord({ password: 'MARK-a' }))).toBe('blocked');
    await bench.expectNoLeak();
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
    const event = changeEvent({ password: `fernet:${worker.context.rings.ingestion.seal('MARK-a')}` });
    await worker.handle(sourceRecord(event));
    expect(worker.last()).toMatchObject({ code: 'TOKEN_NOT_OPENED' });
    const repaired = await bench.worker({
      PUBLISHER_FERNET_KEY: 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=',
    });
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
