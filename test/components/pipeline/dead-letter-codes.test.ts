import { describe, expect, it } from 'vitest';
import { discard, findKept, scheduleRetry } from '../../../src/database/dead-letters.js';
import { ERROR_CODES, type EventErrorCode } from '../../../src/errors.js';
import { DEAD_LETTER_ROWS } from './dead-letter-rows.js';
import { openBench, type Bench, type BenchWorker } from './fixture.js';

const SIGNAL = new AbortController().signal;
const CODES = Object.keys(DEAD_LETTER_ROWS) as EventErrorCode[];

/** Which codes are kept: the one in question, last, and before it what it is behind. */
function expectedCodes(code: EventErrorCode): EventErrorCode[] {
  return code === 'EVENT_BLOCKED' ? ['TOKEN_NOT_OPENED', code] : [code];
}

async function causedBy(code: EventErrorCode): Promise<{ bench: Bench; worker: BenchWorker }> {
  const { options, cause } = DEAD_LETTER_ROWS[code];
  const { bench, worker } = await openBench(options);
  await cause(worker, bench);
  return { bench, worker: bench.workers.at(-1) ?? worker };
}

const toldCodes = ({ topics }: Bench): unknown[] => topics.deadLetters.map(({ headers }) => headers['code']);

it('there is a row for every code that a dead letter can have', () => {
  const ofEvents = Object.entries(ERROR_CODES).filter(([, { kind }]) => kind === 'event');
  expect(CODES.toSorted()).toEqual(ofEvents.map(([code]) => code).toSorted());
});

describe.each(CODES)('a dead letter %s', (code) => {
  it('has its code in table, topic and inbox, the record sealed, and no value anywhere', async () => {
    const { bench, worker } = await causedBy(code);
    const kept = await findKept(worker.database, {});
    expect(kept.map((one) => [one.state, one.code])).toEqual(
      expectedCodes(code).map((each) => ['dead', each]),
    );
    expect(toldCodes(bench)).toEqual(expectedCodes(code));
    const letter = bench.topics.deadLetters.at(-1);
    expect(letter?.value?.toString()).toMatch(/^fernet:/);
    const rows = await bench.query(`SELECT outcome, code FROM inbox WHERE code = '${code}'`);
    expect(rows).toEqual([{ outcome: code === 'EVENT_BLOCKED' ? 'blocked' : 'refused', code }]);
    expect(worker.handled.at(-1)?.code).toBe(code);
    await bench.expectNoLeak();
  });

  const { mend } = DEAD_LETTER_ROWS[code];
  it(`retried, ${mend === null ? 'stays what it is, and is not told again' : 'is applied once its cause is gone'}`, async () => {
    const { bench, worker } = await causedBy(code);
    const told = toldCodes(bench);
    const revisions = bench.topics.secured.length;
    const again = mend === null ? worker : await mend(bench, worker);
    const retried = await scheduleRetry(worker.database, { state: 'dead' });
    expect(retried.map((one) => one.code)).toEqual(expectedCodes(code));
    await again.pipeline.retryKept(SIGNAL);
    const kept = await findKept(worker.database, {});
    expect(toldCodes(bench)).toEqual(told);
    if (mend === null) {
      expect(kept).toMatchObject([{ state: 'dead', code, attempts: 2 }]);
      expect(bench.topics.secured).toHaveLength(revisions);
    } else {
      expect(kept).toEqual([]);
      expect(again.last()).toMatchObject({ outcome: 'applied' });
      expect(bench.topics.secured.length).toBeGreaterThan(revisions);
    }
    await bench.expectNoLeak();
  });

  it('discarded, is gone for good, and the audit says who and why', async () => {
    const { bench, worker } = await causedBy(code);
    const revisions = bench.topics.secured.length;
    const by = { actor: 'cli:tester', reason: 'published again' };
    await discard(worker.database, { state: 'dead' }, by);
    expect(await worker.pipeline.retryKept(SIGNAL)).toBe(0);
    expect(await findKept(worker.database, {})).toEqual([]);
    const audit = await bench.query(
      `SELECT actor, detail FROM audit WHERE action = 'discard' ORDER BY detail DESC`,
    );
    expect(audit).toEqual(
      expectedCodes(code).map((each) => ({ actor: by.actor, detail: `${each}: ${by.reason}` })),
    );
    expect(bench.topics.secured).toHaveLength(revisions);
  });
});
