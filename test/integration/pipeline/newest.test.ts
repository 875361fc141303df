import { expect, it } from 'vitest';
import { migrateSchema, revertSchema } from '../../../src/database/schema.js';
import { generateKey, KeyRing } from '../../../src/fernet/index.js';
import { referenceRow } from '../../../src/pipeline/references.js';
import { republish } from '../../../src/operations/republish.js';
import { UnderClaim } from '../../../src/pipeline/under-claim.js';
import { CONNECTION, eventRecord, MASKED } from '../../components/pipeline/events.js';
import { Bench, codeOf, type BenchOptions, type BenchWorker } from '../../components/pipeline/fixture.js';
import { describeEngines } from '../database/support.js';

const SIGNAL = new AbortController().signal;

/**
 * The newest secured event of a connection has no row in the outbox: it is made from the connection's rows by whoever
 * publishes it, and gets a row only where a newer revision overtakes it unsent.
 */
describeEngines('the newest secured event of a connection', (engine) => {
  const open = async (options: Partial<BenchOptions> = {}) => {
    const bench = await Bench.open({ engine, ...options });
    return { bench, w1: await bench.worker(), w2: await bench.worker() };
  };
  /** Committed, and not published: as a kill in between leaves it. */
  const leave = async (bench: Bench, worker: BenchWorker, record: Parameters<BenchWorker['handle']>[0]) => {
    worker.outlet.failures = 1;
    expect(await codeOf(worker.handle(record))).toBe('BROKER_UNAVAILABLE');
    await bench.expireClaims();
  };
  const event = (at: number) => eventRecord({ password: 'MARK-a', config: { hostPort: `x:${at}` }, at });
  const rowsOf = async (bench: Bench) => {
    const rows = await bench.query('SELECT revision, sent_at_ms FROM outbox ORDER BY revision');
    return rows.map((row) => [Number(row['revision']), row['sent_at_ms'] === null ? 'unsent' : 'sent']);
  };
  const isUnpublished = async (bench: Bench): Promise<boolean> => {
    const [row] = await bench.query(
      `SELECT unpublished_since_ms AS since FROM connection WHERE id = '${CONNECTION}'`,
    );
    return row?.['since'] !== null;
  };
  const revisions = ({ topics }: Bench) => topics.securedOf(CONNECTION).map(({ revision }) => revision);
  /** Text of each record of one revision: a record that comes again says the same. */
  const texts = ({ topics }: Bench) => topics.records.map(({ value }) => value?.toString());

  it('has no row in the outbox, whether it is published at once or later', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(event(1));
    expect(await isUnpublished(bench)).toBe(false);
    await leave(bench, w1, event(2));
    expect(await isUnpublished(bench)).toBe(true);
    expect(await w2.relay.run(SIGNAL)).toBe(1);
    expect(await w2.relay.run(SIGNAL)).toBe(0);
    expect([revisions(bench), await isUnpublished(bench)]).toEqual([[1, 2], false]);
    expect(await rowsOf(bench)).toEqual([]);
  });

  it.each([
    { carries: 'references', options: {}, isSealed: false },
    { carries: 'sealed references', options: { env: { SECURED_REFERENCES: 'sealed' } }, isSealed: true },
    { carries: 'sealed values', options: { manager: 'db' as const }, isSealed: true },
  ])(
    'is made again byte for byte, by the redelivery of its event: $carries',
    async ({ options, isSealed }) => {
      const { bench, w1, w2 } = await open(options);
      w1.outlet.failuresAfter = 1;
      expect(await codeOf(w1.handle(event(1)))).toBe('BROKER_UNAVAILABLE');
      await bench.expireClaims();
      expect(await w2.handle(event(1))).toBe('duplicate');
      expect(revisions(bench)).toEqual([1, 1]);
      const [first, second] = texts(bench);
      expect(second).toBe(first);
      expect(first?.includes('fernet:')).toBe(isSealed);
      expect(bench.topics.lastOf(CONNECTION)?.source).toMatchObject({
        eventId: expect.any(String) as string,
      });
    },
  );

  it('is put into the outbox by whoever overtakes it, with or without a write, and goes out before', async () => {
    const { bench, w1, w2 } = await open();
    await leave(bench, w1, event(1));
    // Without a write: one transaction.
    await leave(bench, w1, event(2));
    expect(await rowsOf(bench)).toEqual([[1, 'unsent']]);
    // With one: the commit.
    const written = eventRecord({ password: 'MARK-b', at: 3 });
    expect(await w2.handle(written)).toBe('applied');
    expect(revisions(bench)).toEqual([1, 2, 3]);
    expect(await rowsOf(bench)).toEqual([
      [1, 'sent'],
      [2, 'sent'],
    ]);
    expect(await isUnpublished(bench)).toBe(false);
    expect(bench.topics.securedOf(CONNECTION).map(({ source }) => source.offset)).toHaveLength(3);
    await bench.expectNoLeak();
  });

  it('waits with those it has overtaken; the relay sends all of them, in their order', async () => {
    const { bench, w1, w2 } = await open();
    for (const at of [1, 2, 3]) await leave(bench, w1, event(at));
    expect(await w2.relay.run(SIGNAL)).toBe(3);
    expect(revisions(bench)).toEqual([1, 2, 3]);
    const hosts = bench.topics
      .securedOf(CONNECTION)
      .map(({ entity }) => /x:\d/u.exec(JSON.stringify(entity))?.[0]);
    expect(hosts).toEqual(['x:1', 'x:2', 'x:3']);
  });

  it('is published with the dead letter of a later event, which changes nothing of it', async () => {
    const { bench, w1, w2 } = await open();
    await leave(bench, w1, event(1));
    expect(await w2.handle(eventRecord({ password: 'null', at: 2 }))).toBe('refused');
    expect([revisions(bench), await isUnpublished(bench)]).toEqual([[1], false]);
  });

  it('is put into the outbox by a republication from where nothing is published', async () => {
    const { bench, w1, w2 } = await open();
    await leave(bench, w1, event(1));
    const { ledger, context } = w2;
    const alone = new UnderClaim({ ledger, outlet: null, context, clock: () => performance.now() });
    const again = { connectionId: CONNECTION, operation: 'rotated', only: () => true } as const;
    expect(await republish(alone, context, again)).toBe('done');
    expect([revisions(bench), await rowsOf(bench)]).toEqual([[], [[1, 'unsent']]]);
    expect(await w1.relay.run(SIGNAL)).toBe(2);
    expect(bench.topics.securedOf(CONNECTION)).toMatchObject([
      { revision: 1, operation: 'updated' },
      { revision: 2, operation: 'rotated' },
    ]);
  });

  it('keeps the store that it was made for, where the connection has another one by now', async () => {
    const { bench, w1 } = await open();
    await leave(bench, w1, event(1));
    await bench.changeManager('local');
    const moved = await bench.worker({}, 'local');
    expect(await moved.relay.run(SIGNAL)).toBe(1);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 1, manager: 'in-memory' });
    expect(bench.topics.lastOf(CONNECTION)?.store.provider).toBe('in-memory');
    await leave(bench, moved, event(2));
    expect(await moved.relay.run(SIGNAL)).toBe(1);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ revision: 2, manager: 'local' });
  });

  it('is not sent where its state may not go out by now: the audit says so, and it is over', async () => {
    const { bench, w1, w2 } = await open();
    await leave(bench, w1, event(1));
    await w1.database.run(({ manager, tables }) =>
      manager.update(tables.reference, { connectionId: CONNECTION }, { digest: 'altered' }),
    );
    expect(await w2.relay.run(SIGNAL)).toBe(0);
    expect([revisions(bench), await isUnpublished(bench)]).toEqual([[], false]);
    const audit = await bench.query(`SELECT detail FROM audit WHERE action = 'refuse'`);
    expect(audit).toEqual([{ detail: 'REFERENCE_ALTERED' }]);
    expect(await w2.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    expect(revisions(bench)).toEqual([2]);
  });

  it('waits for a key that opens its rows, and is given up where a newer state needs none of them', async () => {
    const { bench, w1, w2 } = await open();
    await leave(bench, w1, event(1));
    const { database, context } = w1;
    const find = () =>
      database.run(({ manager, tables }) =>
        manager.findOneByOrFail(tables.reference, { connectionId: CONNECTION }),
      );
    const own = await find();
    const content = {
      holds: 'reference',
      secretId: own.secretId ?? '',
      owned: true,
      fingerprint: null,
    } as const;
    const rings = { database: KeyRing.parse('LOST', generateKey()) };
    const lost = referenceRow({ ...own, content }, { ...context, rings });
    await database.run(({ manager, tables }) => manager.save(tables.reference, lost));
    expect(await w2.relay.run(SIGNAL)).toBe(0);
    expect([w2.unpublished, await isUnpublished(bench)]).toEqual([['REFERENCE_NOT_OPENED'], true]);
    await database.run(({ manager, tables }) => manager.save(tables.reference, own));
    expect(await w2.relay.run(SIGNAL)).toBe(1);
    expect(revisions(bench)).toEqual([1]);

    await leave(bench, w1, event(2));
    await database.run(({ manager, tables }) => manager.save(tables.reference, lost));
    expect(await w2.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('refused');
    expect(await isUnpublished(bench)).toBe(true);
    expect(await w2.handle(eventRecord({ password: 'MARK-c', at: 4 }))).toBe('applied');
    expect(revisions(bench)).toEqual([1, 3]);
    const audit = await bench.query(`SELECT detail FROM audit WHERE action = 'refuse'`);
    expect(audit).toContainEqual({ detail: 'REFERENCE_NOT_OPENED' });
  });

  it('is sealed with the key of whoever publishes it, and its row says so', async () => {
    const { bench, w1 } = await open({ env: { SECURED_REFERENCES: 'sealed' } });
    await leave(bench, w1, event(1));
    const next = generateKey();
    const w3 = await bench.worker({ INGESTION_FERNET_KEY: next });
    expect(await w3.relay.run(SIGNAL)).toBe(1);
    const [row] = await bench.query('SELECT secured_from FROM connection');
    const { keyId } = JSON.parse(String(row?.['secured_from'])) as { keyId: string };
    expect(keyId).toBe(KeyRing.parse('k', next).primaryKeyId);
  });

  it('keeps the schema from going back until it is published', async () => {
    const { bench, w1 } = await open();
    await leave(bench, w1, event(1));
    await expect(revertSchema(w1.database, null)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await w1.relay.run(SIGNAL)).toBe(1);
    expect(await revertSchema(w1.database, null)).toBe('OutboxOnDemand1791000700000');
  });

  it('is never overtaken by a worker of the version before: its transactions end with the upgrade', async () => {
    const { bench, w1, w2 } = await open();
    await w1.handle(event(1));
    await revertSchema(w1.database, null);
    await migrateSchema(w1.database);
    expect(await codeOf(w2.handle(event(2)))).toBe('MANAGER_MISMATCH');
    expect(revisions(bench)).toEqual([1]);
  });
});
