import { describe, expect, it } from 'vitest';
import { describeWith, type DatabaseEngine } from '../../harness/index.js';
import { CONNECTION, deletion, eventRecord, MASKED, PASSWORD_ID } from '../../components/pipeline/events.js';
import { gate } from '../../components/pipeline/fake-outlet.js';
import { plantReference } from '../../components/pipeline/planted.js';
import { Bench, codeOf, type BenchOptions, type BenchWorker } from '../../components/pipeline/fixture.js';

const SIGNAL = new AbortController().signal;

/** Two workers on one database, one store and one topic. */
async function openTwo(options: BenchOptions): Promise<{ bench: Bench; w1: BenchWorker; w2: BenchWorker }> {
  const bench = await Bench.open(options);
  return { bench, w1: await bench.worker(), w2: await bench.worker() };
}

/** After all retries: the last record is the newest, and the store holds the value the database believes in. */
async function expectAgreement(bench: Bench, value: string): Promise<void> {
  expect(await bench.store.valueOf(PASSWORD_ID)).toBe(value);
  const [row] = await bench.query('SELECT revision FROM connection');
  expect(bench.topics.lastOf(CONNECTION)?.revision).toBe(Number(row?.['revision']));
}

const CERTIFICATE_ID = '/openmetadata/database/mysql-test/sslconfig/cacertificate';

/** Two secrets. */
const pair = (password: string) => ({ password, config: { sslConfig: { caCertificate: `${password}-ca` } } });

/** By name, until when one of its requests may land; null: none can. */
async function inDoubt(bench: Bench): Promise<Record<string, number | null>> {
  const rows = await bench.query('SELECT secret_id, suspect_until_ms AS until_ms FROM stored_secret');
  return Object.fromEntries(
    rows.map((row) => [String(row['secret_id']), row['until_ms'] === null ? null : Number(row['until_ms'])]),
  );
}

/** The counter-examples of the protocol, each by its number; more of 7 and 11 with the janitor's own tests, 10 with a change of manager. */
function describeProtocol(engine: DatabaseEngine): void {
  const open = (): ReturnType<typeof openTwo> => openTwo({ engine });

  it('1: publish under the claim: who stalls before sending sends nothing old over the new', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-0', at: 1 }));
    bench.store.afterPut = async () => {
      bench.store.afterPut = () => Promise.resolve();
      w1.stoppedMs += 60_000;
    };
    const first = eventRecord({ password: 'MARK-a', at: 2 });
    // Committed, but stopped before the send: by its own clock its claim has run out.
    expect(await codeOf(w1.handle(first))).toBe('CLAIM_LOST');
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1]);
    await bench.expireClaims();
    await w2.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2, 3]);
    expect(await w1.handle(first)).toBe('duplicate');
    await expectAgreement(bench, 'MARK-b');
  });

  it('1: a send that fails does not release the claim: it may still arrive', async () => {
    const { bench, w1, w2 } = await open();
    w1.outlet.failures = 1;
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-a', at: 1 })))).toBe('BROKER_UNAVAILABLE');
    expect(await codeOf(w2.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('CLAIM_LOST');
    expect(await w2.relay.run(SIGNAL)).toBe(0);
    await bench.expireClaims();
    expect(await w2.relay.run(SIGNAL)).toBe(1);
    await w2.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2]);
  });

  it('2: the client token contains the epoch: A, A|B with crashes ends with A in store and database', async () => {
    const { bench, w1, w2 } = await open();
    const a = eventRecord({ password: 'MARK-a', at: 3 });
    const b = eventRecord({ password: 'MARK-b', at: 2 });
    bench.store.arm('lost-after', { times: 2 });
    expect(await codeOf(w1.handle(a))).toBe('STORE_UNAVAILABLE');
    await bench.expireClaims();
    expect(await codeOf(w2.handle(b))).toBe('STORE_UNAVAILABLE');
    await bench.expireClaims();
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await w1.handle(a)).toBe('applied');
    await expectAgreement(bench, 'MARK-a');
    expect(await w2.handle(b)).toBe('stale');
    await expectAgreement(bench, 'MARK-a');
  });

  it.each(['lost', 'late'] as const)(
    '3: after a write of unknown outcome (%s) the claim runs out instead of being released',
    async (fault) => {
      const { bench, w1, w2 } = await open();
      bench.store.arm(fault);
      expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-a', at: 1 })))).toBe('STORE_UNAVAILABLE');
      expect(await codeOf(w2.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('CLAIM_LOST');
      expect(bench.store.writes).toBe(1);
    },
  );

  it('3: after a write that was certainly refused the claim is free at once', async () => {
    const { bench, w1, w2 } = await open();
    bench.store.arm('throttle');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-a', at: 1 })))).toBe('STORE_UNAVAILABLE');
    expect(await w2.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
  });

  it('4: every commit raises the epoch: a delete without a write keeps the stalled writer from committing', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-0', at: 1 }));
    const held = gate();
    bench.store.afterPut = held.pass;
    const writing = codeOf(w1.handle(eventRecord({ password: 'MARK-a', at: 2 })));
    await held.reached;
    await bench.expireClaims();
    expect(await w2.handle(deletion(3))).toBe('applied');
    held.open();
    expect(await writing).toBe('CLAIM_LOST');
    const [row] = await bench.query('SELECT state FROM connection');
    expect(row).toEqual({ state: 'deleted' });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
  });

  it('5: order holds per field: A,m|B over two workers keeps B', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await w1.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(await w2.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    await expectAgreement(bench, 'MARK-b');
  });

  it('6: a commit retires what a lost claim was writing', async () => {
    const { bench, w1, w2 } = await open();
    const held = gate();
    bench.store.afterPut = held.pass;
    const first = eventRecord({ password: 'MARK-a', at: 1 });
    const writing = codeOf(w1.handle(first));
    await held.reached;
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'writing' });
    await bench.expireClaims();
    await w2.handle(deletion(2));
    held.open();
    expect(await writing).toBe('CLAIM_LOST');
    expect(await w1.handle(first)).toBe('stale');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    const [row] = await bench.query('SELECT suspect_until_ms FROM stored_secret');
    expect(Number(row?.['suspect_until_ms'])).toBeGreaterThan(Date.now());
  });

  it('7: a janitor that stalls between its claim and its request deletes nothing', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await w1.handle(deletion(2));
    await w1.database.transaction(({ manager }) => manager.query('UPDATE stored_secret SET due_at_ms = 1'));
    const claim = w2.ledger.claim.bind(w2.ledger);
    w2.ledger.claim = async (requests) => {
      const results = await claim(requests);
      w2.stoppedMs += 60_000;
      return results;
    };
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ deleted: 0 });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleting' });
  });

  it('8: retiring is part of the commit: a commit that fails retires nothing, one that succeeds does', async () => {
    const { bench, w1 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    w1.outlet.failures = 1;
    expect(await codeOf(w1.handle(eventRecord({ password: null, at: 2 })))).toBe('BROKER_UNAVAILABLE');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    expect(await bench.query('SELECT path FROM secret_reference')).toEqual([]);
  });

  it('9: a mask that meets a claim is not put aside before that claim’s commit', async () => {
    const { bench, w1, w2 } = await open();
    const held = gate();
    bench.store.afterPut = held.pass;
    const writing = w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await held.reached;
    const masked = w2.handle(eventRecord({ password: MASKED, at: 2 }));
    held.open();
    expect(await Promise.all([writing, masked])).toEqual(['applied', 'applied']);
    expect(await bench.kept()).toEqual([]);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 2 });
  });

  it('9: a mask that was first is applied by whoever commits the original', async () => {
    const { bench, w1, w2 } = await open();
    expect(await w2.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('waiting');
    expect(await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }))).toBe('applied');
    expect(await bench.kept()).toEqual([]);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 2 });
  });

  it('11: a name that the store refuses, or was not asked for, is not in doubt: nothing of it can land', async () => {
    const { bench, w1 } = await open();
    bench.store.arm('not-owned', { secretId: PASSWORD_ID });
    await w1.handle(eventRecord({ ...pair('MARK-a'), at: 1 }));
    expect(w1.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    expect(await inDoubt(bench)).toEqual({ [PASSWORD_ID]: null, [CERTIFICATE_ID]: null });
    await w1.handle(eventRecord({ ...pair('MARK-a'), at: 2 }));
    bench.store.arm('quota', { secretId: PASSWORD_ID });
    await w1.handle(eventRecord({ password: 'MARK-b', config: pair('MARK-a').config, at: 3 }));
    expect(w1.last()).toMatchObject({ outcome: 'waiting', code: 'STORE_QUOTA' });
    expect(await inDoubt(bench)).toEqual({ [PASSWORD_ID]: null, [CERTIFICATE_ID]: null });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live', [CERTIFICATE_ID]: 'live' });
  });

  it('11: a name whose write was throttled is not in doubt: nothing of it can land, and its event comes again', async () => {
    const { bench, w1, w2 } = await open();
    for (const [at, state] of [
      [1, 'retired'],
      [2, 'live'],
    ] as const) {
      const event = eventRecord({ ...pair(`MARK-${at}`), at });
      bench.store.arm('throttle', { secretId: PASSWORD_ID });
      bench.store.arm('throttle', { secretId: CERTIFICATE_ID });
      expect(await codeOf(w1.handle(event))).toBe('STORE_UNAVAILABLE');
      expect(await inDoubt(bench)).toEqual({ [PASSWORD_ID]: null, [CERTIFICATE_ID]: null });
      expect(await bench.stored()).toEqual({ [PASSWORD_ID]: state, [CERTIFICATE_ID]: state });
      expect(await bench.kept()).toEqual([]);
      expect(await w2.handle(event)).toBe('applied');
      expect(await inDoubt(bench)).toEqual({ [PASSWORD_ID]: null, [CERTIFICATE_ID]: null });
      await expectAgreement(bench, `MARK-${at}`);
    }
  });

  it('11: a throttle takes no name out of the doubt that an earlier claim has left it in', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    bench.store.arm('late');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('STORE_UNAVAILABLE');
    await bench.expireClaims();
    bench.store.arm('throttle');
    expect(await codeOf(w2.handle(eventRecord({ password: 'MARK-c', at: 3 })))).toBe('STORE_UNAVAILABLE');
    expect((await inDoubt(bench))[PASSWORD_ID]).toBeGreaterThan(Date.now());
    await bench.store.land();
    await bench.endDoubt();
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ repaired: 1 });
    await expectAgreement(bench, 'MARK-a');
  });

  it('11: what was written before its event was refused is put right at once', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ ...pair('MARK-a'), at: 1 }));
    bench.store.arm('not-owned', { secretId: CERTIFICATE_ID });
    await w1.handle(eventRecord({ ...pair('MARK-b'), at: 2 }));
    expect(w1.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    const { [PASSWORD_ID]: untilMs, [CERTIFICATE_ID]: ofRefused } = await inDoubt(bench);
    expect(ofRefused).toBeNull();
    expect(untilMs).toBeLessThanOrEqual(Date.now());
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ repaired: 1 });
    await expectAgreement(bench, 'MARK-a');
    expect(await inDoubt(bench)).toEqual({ [PASSWORD_ID]: null, [CERTIFICATE_ID]: null });
  });

  it('11: a refusal takes no name out of the doubt that an earlier claim has left it in', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    bench.store.arm('late');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('STORE_UNAVAILABLE');
    await bench.expireClaims();
    bench.store.arm('not-owned');
    await w2.handle(eventRecord({ password: 'MARK-c', at: 3 }));
    expect(w2.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    expect((await inDoubt(bench))[PASSWORD_ID]).toBeGreaterThan(Date.now());
    await bench.store.land();
    await bench.endDoubt();
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ repaired: 1 });
    await expectAgreement(bench, 'MARK-a');
  });

  it('11: what another claim left as writing is in doubt after the next commit, and never counts as unchanged', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    bench.store.arm('late');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('STORE_UNAVAILABLE');
    await bench.expireClaims();
    await w2.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
    const [row] = await bench.query('SELECT suspect_until_ms FROM stored_secret');
    expect(Number(row?.['suspect_until_ms'])).toBeGreaterThan(Date.now());
    await bench.store.land();
    await w2.handle(eventRecord({ password: 'MARK-a', at: 4 }));
    await expectAgreement(bench, 'MARK-a');
  });

  it('12: two workers plan at the same time: the older state never goes over the newer', async () => {
    const { bench, w1, w2 } = await open();
    const older = eventRecord({ password: 'MARK-a', at: 1 });
    const newer = eventRecord({ password: 'MARK-b', at: 2 });
    await Promise.all([w1.handle(older), w2.handle(newer)]);
    await expectAgreement(bench, 'MARK-b');
    expect(bench.topics.lastOf(CONNECTION)?.source.offset).toBe(newer.offset);
  });

  it('12: a plan that stalls between claim and commit is thrown away when somebody else has committed', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(eventRecord({ password: 'MARK-0', at: 1 }));
    const held = gate();
    bench.store.afterPut = held.pass;
    const older = eventRecord({ password: 'MARK-a', at: 2 });
    const writing = codeOf(w1.handle(older));
    await held.reached;
    await bench.expireClaims();
    bench.store.afterPut = () => Promise.resolve();
    await w2.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    held.open();
    expect(await writing).toBe('CLAIM_LOST');
    expect(await w1.handle(older)).toBe('stale');
    await expectAgreement(bench, 'MARK-b');
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2]);
  });

  it('no write starts without time on the claim; a renewal keeps it going while it is the newest', async () => {
    const { bench, w1, w2 } = await open();
    const two = { password: 'MARK-a', config: { authType: { password: 'MARK-b' } } };
    bench.store.afterPut = async () => {
      bench.store.afterPut = () => Promise.resolve();
      w1.stoppedMs += 60_000;
    };
    expect(await w1.handle(eventRecord({ ...two, at: 1 }))).toBe('applied');
    bench.store.afterPut = async () => {
      bench.store.afterPut = () => Promise.resolve();
      w1.stoppedMs += 60_000;
      await bench.expireClaims();
      await w2.handle(deletion(3));
    };
    const before = bench.store.writes;
    const changed = { password: 'MARK-c', config: { authType: { password: 'MARK-d' } } };
    expect(await codeOf(w1.handle(eventRecord({ ...changed, at: 2 })))).toBe('CLAIM_LOST');
    expect(bench.store.writes).toBe(before + 1);
    await bench.expectNoLeak();
  });

  it('two connections that want one id at the same time: one gets it', async () => {
    const { bench, w1, w2 } = await open();
    const one = eventRecord({ name: 'My Svc', password: 'MARK-a' });
    const other = eventRecord({ id: 'other', name: 'my_svc', password: 'MARK-b' });
    const settled = await Promise.allSettled([w1.handle(one), w2.handle(other)]);
    const again = [one, other][settled.findIndex(({ status }) => status === 'rejected')];
    if (again !== undefined) await w1.handle(again);
    expect(bench.store.writes).toBe(1);
    expect((await bench.kept()).map(({ code }) => code)).toEqual(['SECRET_ID_COLLISION']);
  });

  it('nobody refers to a name while another connection creates it, whoever comes first', async () => {
    const { bench, w1, w2 } = await open();
    const spellings = [(id: string) => id, (id: string) => id.toUpperCase(), arnOf];
    for (let round = 0; round < 12; round += 1) {
      const name = `svc-${round}`;
      const spell = spellings[round % spellings.length] ?? arnOf;
      const created = eventRecord({ id: name, name, password: `MARK-${round}` });
      const referring = eventRecord({
        id: `squatter-${round}`,
        name: `squatter-${round}`,
        password: `secret:${spell(PASSWORD_ID.replace('mysql-test', name))}`,
      });
      const both = [() => w1.handle(created), () => w2.handle(referring)];
      const settled = await Promise.allSettled(
        (round % 2 === 0 ? both : both.reverse()).map((handle) => handle()),
      );
      for (const [index, { status }] of settled.entries()) if (status === 'rejected') await both[index]?.();
      expect(w1.last()).toMatchObject({ outcome: 'applied' });
      expect(w2.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    }
    expect(bench.topics.secured.every(({ connectionId }) => !connectionId.startsWith('squatter'))).toBe(true);
  });

  it.each(['before', 'after'])(
    'a reference of an earlier version that lands %s the claim of who creates its name opens nothing',
    async (when) => {
      const { bench, w1, w2 } = await open();
      const squatter = { id: 'squatter', name: 'squatter' };
      const plant = () => plantReference(w2, (record) => w2.handle(record), squatter, PASSWORD_ID);
      if (when === 'before') await plant();
      else
        bench.store.afterPut = async () => {
          bench.store.afterPut = () => Promise.resolve();
          await plant();
        };
      await w1.handle(eventRecord({ password: 'MARK-a' }));
      expect(w1.last()).toMatchObject(
        when === 'before' ? { outcome: 'refused', code: 'SECRET_ID_REFERRED' } : { outcome: 'applied' },
      );
      await w2.handle(eventRecord({ ...squatter, password: MASKED, config: { hostPort: 'x:1' }, at: 2 }));
      expect(w2.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
      const said = bench.topics.securedOf('squatter').map(({ secretFields }) => secretFields);
      expect(JSON.stringify(said)).not.toContain(PASSWORD_ID);
    },
  );
}

function arnOf(secretId: string): string {
  return `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${secretId}-AbCdEf`;
}

describe('the protocol on sqlite', () => {
  describeProtocol('sqlite');
});
describeWith(['postgres'], 'the protocol on postgres', () => {
  describeProtocol('postgres');
});
describeWith(['mariadb'], 'the protocol on mariadb', () => {
  describeProtocol('mariadb');
});
