import { expect, it } from 'vitest';
import { scheduleRetry } from '../../../src/database/dead-letters.js';
import type { SourceRecord } from '../../../src/terms.js';
import { sealedFor } from '../../harness/index.js';
import { describeEngines } from '../database/support.js';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  PASSWORD_ID,
  sourceRecord,
  type EventSpec,
} from '../../components/pipeline/events.js';
import {
  KEYS,
  openBench,
  type Bench,
  type BenchOptions,
  type BenchWorker,
} from '../../components/pipeline/fixture.js';

const NEVER = new AbortController().signal;
const EVENT_ID = 'one-id';
const REUSED = { outcome: 'refused', code: 'EVENT_ID_REUSED' };

/** An event with the one id that all of them have. */
const event = (spec: EventSpec): SourceRecord => eventRecord({ eventId: EVENT_ID, ...spec });

async function handle(worker: BenchWorker, record: SourceRecord): Promise<unknown> {
  await worker.handle(record);
  const { outcome, code } = worker.last() ?? {};
  return code === null ? outcome : { outcome, code };
}

const secret = (bench: Bench): Promise<string | null> => bench.store.valueOf(PASSWORD_ID);

async function retry(worker: BenchWorker): Promise<void> {
  await scheduleRetry(worker.database, { code: 'EVENT_ID_REUSED' });
  await worker.pipeline.retryKept(NEVER);
}

describeEngines('an event id that comes again', (engine) => {
  const open = (options: BenchOptions = {}): ReturnType<typeof openBench> =>
    openBench({ engine, ...options });

  it('with other content is kept beside the first, and a retry applies it as the newest', async () => {
    const { bench, worker } = await open();
    const [first, second] = [event({ password: 'MARK-a', at: 5 }), event({ password: 'MARK-b', at: 4 })];
    expect(await handle(worker, first)).toBe('applied');
    for (let times = 0; times < 2; times += 1) expect(await handle(worker, second)).toEqual(REUSED);
    expect(await handle(worker, first)).toBe('duplicate');
    expect(worker.deadLetters).toEqual(['EVENT_ID_REUSED']);
    expect(bench.topics.deadLetters).toHaveLength(1);
    expect(await bench.query(`SELECT action FROM audit WHERE detail = 'EVENT_ID_REUSED'`)).toEqual([
      { action: 'refuse' },
    ]);
    expect(await secret(bench)).toBe('MARK-a');

    await retry(worker);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await bench.kept()).toEqual([]);
    expect(await secret(bench)).toBe('MARK-b');
    for (const record of [first, second]) expect(await handle(worker, record)).toBe('duplicate');
    expect(await secret(bench)).toBe('MARK-b');
    await bench.expectNoLeak();
  });

  it('never takes the place of a first one that is kept itself', async () => {
    const { bench, worker } = await open();
    await handle(worker, event({ password: 'null', at: 1 }));
    expect(await handle(worker, event({ password: 'MARK-b', at: 2 }))).toEqual(REUSED);
    expect(await bench.kept()).toEqual([
      { state: 'dead', code: 'VALUE_IS_THE_WORD_NULL' },
      { state: 'dead', code: 'EVENT_ID_REUSED' },
    ]);
  });

  it('holds nothing back, and stays where later ones mask what it was to set', async () => {
    const { bench, worker } = await open();
    await handle(worker, event({ password: 'MARK-a', at: 1 }));
    await handle(worker, event({ password: 'MARK-b', at: 2 }));
    expect(await worker.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('applied');
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'EVENT_ID_REUSED' }]);
    expect(await worker.handle(eventRecord({ password: 'MARK-c', at: 4 }))).toBe('applied');
    expect(await bench.kept()).toEqual([]);
  });

  it('as a deletion deletes nothing', async () => {
    const { bench, worker } = await open();
    await handle(worker, event({ password: 'MARK-a', at: 1 }));
    expect(await handle(worker, deletion(2, { eventId: EVENT_ID }))).toEqual(REUSED);
    expect(await secret(bench)).toBe('MARK-a');
  });

  it('sealed anew is a duplicate; with another value in the token it is not', async () => {
    const { bench, worker } = await open();
    const sealed = (value: string): SourceRecord =>
      event({ password: sealedFor(KEYS.PUBLISHER_FERNET_KEY, CONNECTION, value) });
    expect(await handle(worker, sealed('MARK-a'))).toBe('applied');
    expect(await handle(worker, sealed('MARK-a'))).toBe('duplicate');
    expect(await handle(worker, event({ password: 'MARK-a' }))).toBe('duplicate');
    // Each sealing of the second is one dead letter.
    for (let times = 0; times < 2; times += 1) expect(await handle(worker, sealed('MARK-b'))).toEqual(REUSED);
    expect(await bench.kept()).toHaveLength(1);
    expect(await secret(bench)).toBe('MARK-a');
  });

  it('sealed as it was is a duplicate, also when the publisher’s key is no longer in the list', async () => {
    const { bench, worker } = await open();
    const sealed = event({ password: sealedFor(KEYS.PUBLISHER_FERNET_KEY, CONNECTION, 'MARK-a') });
    expect(await handle(worker, sealed)).toBe('applied');
    const other = { PUBLISHER_FERNET_KEY: 'YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8=' };
    expect(await handle(await bench.worker(other), sealed)).toBe('duplicate');
  });

  it('is a duplicate, whatever it has, where an earlier version handled the first', async () => {
    const { bench, worker } = await open();
    await handle(worker, event({ password: 'MARK-a', at: 1 }));
    await worker.database.run(({ manager }) => manager.query('UPDATE inbox SET digest = NULL'));
    expect(await handle(worker, event({ password: 'MARK-b', at: 2 }))).toBe('duplicate');
    expect(await bench.kept()).toEqual([]);
  });

  it('with its members in another order is a duplicate', async () => {
    const { worker } = await open();
    const given = { ...changeEvent({ password: 'MARK-a', eventId: EVENT_ID }), changeDescription: null };
    expect(await handle(worker, sourceRecord(given))).toBe('applied');
    const turned = Object.fromEntries(Object.entries(given).reverse());
    expect(await handle(worker, sourceRecord(turned))).toBe('duplicate');
  });
});
