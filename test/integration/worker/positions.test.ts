import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { rememberHandledFrom } from '../../../src/database/handled-from.js';
import { createLogger } from '../../../src/observability/logger.js';
import { Metrics } from '../../../src/observability/index.js';
import { Positions } from '../../../src/worker/positions.js';
import { SourcePurge } from '../../../src/worker/purge.js';
import { Warnings } from '../../../src/worker/readiness.js';
import type { RecordsBelow, TopicPartition } from '../../../src/kafka/partitions.js';
import type { SourceConsumer } from '../../../consumers/source-events.js';
import {
  committedOffsets,
  createTopics,
  describeWith,
  freshName,
  offsetRanges,
  produce,
  queryDatabase,
  quietKafka,
  waitFor,
} from '../../harness/index.js';
import { openLedger } from '../database/support.js';
import { FakeHandler, kafkaSettings, SILENT, startConsumer } from '../kafka/support.js';

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const texts = (prefix: string, count: number) =>
  range(count).map((at) => ({ value: `${prefix}${at}`, partition: 0 }));

describeWith(['kafka'], 'the positions of a group', ({ kafka: brokers }) => {
  async function bench(count: number) {
    const topic = freshName('source');
    await createTopics([topic], { brokers });
    await produce(topic, texts('old', count), { brokers });
    const settings = kafkaSettings(brokers);
    const { url, database } = await openLedger('sqlite');
    let log = '';
    const stream = new Writable({
      write(chunk: Buffer, _encoding, next) {
        log += chunk.toString();
        next();
      },
    });
    const metrics = new Metrics({ version: '1', manager: 'db' });
    const warnings = new Warnings();
    const consumer: { it: SourceConsumer | null } = { it: null };
    const worker = (rewind: (to: RecordsBelow) => Promise<boolean>): Positions =>
      new Positions({
        ...{ database, settings, metrics, warnings, topics: [topic], rewind },
        logger: createLogger({ level: 'error', stream }),
      });
    const positions = worker(async (to) => (await consumer.it?.rewind(to)) ?? false);
    const change = (sql: string) => database.run(({ manager }) => manager.query(sql));
    const audit = () => queryDatabase({ url }, `SELECT detail FROM audit WHERE action = 'miss'`);
    const read = async (handler: FakeHandler, done: number) => {
      ({ consumer: consumer.it } = startConsumer(settings, [topic], handler));
      await waitFor(async () => (await committedOffsets(settings.groupId, topic)).get(0) === done, {
        what: 'the commit of all',
      });
    };
    const stop = async () => consumer.it?.stop(0);
    return {
      topic,
      settings,
      database,
      worker,
      positions,
      metrics,
      warnings,
      change,
      audit,
      read,
      stop,
      log: () => log,
    };
  }

  async function makeAnew(topic: string, count: number): Promise<void> {
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await waitFor(async () => !(await admin.listTopics()).includes(topic), { what: 'the deletion' });
    await createTopics([topic], { brokers });
    await admin.disconnect();
    await produce(topic, texts('new', count), { brokers });
  }

  it('if a worker is killed before it goes back, the next one reports the gap first', async () => {
    const { topic, settings, worker, positions, audit, read, stop } = await bench(60);
    await read(new FakeHandler(), 60);
    await positions.run();
    await stop();
    await makeAnew(topic, 90);
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    // As a member commits that has not seen it yet.
    await admin.setOffsets({
      groupId: settings.groupId,
      topic,
      partitions: [{ partition: 0, offset: '70' }],
    });
    await admin.disconnect();
    const killed = worker(async () => {
      expect(await audit()).toHaveLength(1);
      throw new Error('killed');
    });
    await expect(killed.run()).rejects.toThrow('killed');
    // At its start a worker has no partitions yet.
    let isMember = false;
    const rewound: RecordsBelow[] = [];
    const next = worker((to) => {
      if (isMember) rewound.push(to);
      return Promise.resolve(isMember);
    });
    await next.run();
    isMember = true;
    await next.run();
    await next.run();
    expect(rewound).toEqual([{ topic, partition: 0, offset: 0 }]);
    expect(await audit()).toHaveLength(1);
  });

  it('PURGE_SOURCE=secured deletes nothing from a recreated topic before a worker has gone back to its start', async () => {
    const { topic, settings, database, worker, positions, read, stop } = await bench(60);
    await read(new FakeHandler(), 60);
    await stop();
    await rememberHandledFrom(database, [{ topic, partition: 0, from: 0 }]);
    await positions.run();
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    const commit = (offset: number) =>
      admin.setOffsets({
        groupId: settings.groupId,
        topic,
        partitions: [{ partition: 0, offset: `${offset}` }],
      });
    const purge = new SourcePurge({
      ...{ database, settings, logger: SILENT, partitions: () => [{ topic, partition: 0 }] },
      onPurged: () => undefined,
    });
    const rounds = async (): Promise<number | undefined> => {
      for (let round = 0; round < 3; round += 1) await purge.run();
      return (await offsetRanges(topic, brokers)).get(0)?.low;
    };
    await purge.run();
    await makeAnew(topic, 90);
    await commit(60);
    expect(await rounds()).toBe(0);
    await worker(async ({ offset }) => {
      await commit(offset);
      return true;
    }).run();
    expect(await rounds()).toBe(0);
    await commit(80);
    expect(await rounds()).toBe(80);
    await admin.disconnect();
  });

  it('a topic that is recreated under a running worker is reported and read from its beginning', async () => {
    const { topic, positions, metrics, warnings, audit, read, log } = await bench(60);
    const handler = new FakeHandler();
    await read(handler, 60);
    await positions.run();
    await makeAnew(topic, 90);
    await waitFor(
      async () => {
        await positions.run().catch(() => undefined);
        return range(90).every((at) => handler.texts().includes(`new${at}`));
      },
      { what: 'all records of the new topic', timeoutMs: 40_000 },
    );
    expect(warnings.list()).toMatchObject([{ code: 'RECORDS_MISSED', topic, reason: 'recreated', from: 0 }]);
    expect(log()).toContain('reads it from its beginning');
    expect(await metrics.render()).toMatch(/missed_records_total\{.*reason="recreated"\} [1-9]/);
    expect(await audit()).toHaveLength(1);
  });

  it('a topic that was empty at the last round and is recreated after its first commit is reported', async () => {
    const { topic, settings, positions, worker, audit } = await bench(0);
    await positions.run();
    const handler = new FakeHandler();
    const { consumer } = startConsumer(settings, [topic], handler, {
      onAssignment: (partitions) => positions.assigned(partitions),
      beforeCommit: (place) => positions.beforeCommit(place),
    });
    await waitFor(() => consumer.state().joined, { what: 'the joining' });
    await positions.run();
    await produce(topic, texts('old', 5), { brokers });
    await waitFor(async () => (await committedOffsets(settings.groupId, topic)).get(0) === 5, {
      what: 'the commit of all',
    });
    await consumer.stop(0);
    await makeAnew(topic, 9);
    await worker(() => Promise.resolve(true)).run();
    expect(await audit()).toMatchObject([{ detail: expect.stringContaining('created again') as unknown }]);
  });

  it.each([
    ['in the next round', false],
    ['before its next commit', true],
  ])(
    'records that expire under a worker that reads on behind them are told exactly, %s',
    async (_when, isHeld) => {
      const { topic, settings, positions, audit } = await bench(20);
      const handler = new FakeHandler();
      handler.behaviour = ({ record: { offset } }) => (offset === 19 ? 'wait' : undefined);
      await positions.run();
      startConsumer(settings, [topic], handler, {
        onBatch: (report) => positions.read(report),
        onOutOfRange: (place) => positions.outOfRange(place),
        ...(isHeld ? { beforeCommit: (place: TopicPartition) => positions.beforeCommit(place) } : {}),
      });
      await waitFor(() => handler.find(0, 19), { what: 'the last record to be begun' });
      await produce(topic, texts('more', 40), { brokers });
      const admin = quietKafka(brokers).admin();
      await admin.connect();
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '50' }] });
      await admin.disconnect();
      handler.find(0, 19)?.resolve();
      await waitFor(async () => (await committedOffsets(settings.groupId, topic)).get(0) === 60, {
        what: 'the commit of all',
        timeoutMs: 30_000,
      });
      await positions.run();
      await positions.run();
      expect(await audit()).toMatchObject([
        { detail: expect.stringContaining('offsets 20 to 49 (30 records)') as unknown },
      ]);
    },
  );

  it.each([
    ['under a running worker', 10],
    ['before the group has committed anything', 0],
  ])(
    'a worker that is killed after records expired %s leaves the gap to be told by the next',
    async (_when, first) => {
      const { topic, settings, positions, worker, audit } = await bench(20);
      const killed = worker(() => Promise.resolve(false));
      await killed.run();
      const expire = async (offset: string): Promise<void> => {
        const admin = quietKafka(brokers).admin();
        await admin.connect();
        await admin.fetchTopicOffsets(topic);
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
        await admin.disconnect();
      };
      if (first === 0) await expire('15');
      const handler = new FakeHandler();
      handler.behaviour = ({ record: { offset } }) => (offset === 9 ? 'wait' : undefined);
      let held = 0;
      const { consumer } = startConsumer(settings, [topic], handler, {
        onAssignment: (partitions) => killed.assigned(partitions),
        onBatch: (report) => killed.read(report),
        onOutOfRange: (place) => killed.outOfRange(place),
        // Its rounds end after the first commit: it is killed before it tells anything.
        beforeCommit: async (place) => {
          if (first > 0 && handler.find(0, 50) === undefined) return killed.beforeCommit(place);
          held += 1;
          throw new WorkerError('DATABASE_UNAVAILABLE', 'away');
        },
      });
      if (first > 0) {
        await waitFor(() => handler.find(0, 9), { what: 'the last record before the gap' });
        await produce(topic, texts('more', 40), { brokers });
        await expire('50');
        handler.find(0, 9)?.resolve();
      }
      await waitFor(() => held > 0, { what: 'a commit behind the gap', timeoutMs: 30_000 });
      await consumer.stop(0);
      await positions.run();
      expect(await audit()).toMatchObject([
        {
          detail: expect.stringMatching(
            first === 0 ? /offsets 0 to 14 / : /offsets (0|[1-9]|1\d|20) to 49 /,
          ) as unknown,
        },
      ]);
    },
  );

  it('records that keep expiring in a paused partition are reported each time', async () => {
    const { topic, settings, positions, audit, metrics } = await bench(40);
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    await admin.setOffsets({ groupId: settings.groupId, topic, partitions: [{ partition: 0, offset: '5' }] });
    for (const offset of ['15', '15', '30']) {
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
      await positions.run();
    }
    await admin.disconnect();
    expect((await audit()).map(({ detail }) => String(detail).split(':', 2)[1])).toEqual([
      ' offsets 5 to 14 (10 records)',
      ' offsets 15 to 29 (15 records)',
    ]);
    expect(await metrics.render()).toMatch(/missed_records_total\{.*reason="expired"\} 25/);
  });

  it('records that expired before they were read are counted and reported once, before the first read', async () => {
    const { topic, settings, positions, metrics, warnings, change, audit, read, log } = await bench(20);
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    await admin.setOffsets({ groupId: settings.groupId, topic, partitions: [{ partition: 0, offset: '5' }] });
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '15' }] });
    await admin.disconnect();
    // Not told before the audit has it: with the database away the next round finds it again.
    await change(`CREATE TRIGGER away BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'away'); END`);
    await expect(positions.run()).rejects.toThrow();
    await change('DROP TRIGGER away');
    await positions.run();
    await positions.run();
    expect(warnings.list()).toEqual([
      { code: 'RECORDS_MISSED', topic, partition: 0, reason: 'expired', from: 5, to: 15 },
    ]);
    expect(log().trim().split('\n')).toHaveLength(1);
    const text = await metrics.render();
    expect(text).toContain(
      `connection_secrets_missed_records_total{topic="${topic}",partition="0",reason="expired"} 10`,
    );
    expect(text).toContain(`connection_secrets_consumer_lag_records{topic="${topic}",partition="0"} 5`);
    expect(await audit()).toMatchObject([
      { detail: expect.stringContaining('offsets 5 to 14 (10 records)') as unknown },
    ]);
    await read(new FakeHandler(), 20);
    await positions.run();
    expect(await audit()).toHaveLength(1);
  });

  it('records that this worker has handled but not committed do not count as lag', async () => {
    const { topic, positions, metrics } = await bench(27);
    const place = { topic, partition: 0 };
    positions.assigned([place]);
    positions.read({ ...place, highWatermark: 27, lastOffset: 19 });
    await positions.beforeCommit(place);
    expect(await metrics.render()).toContain(
      `connection_secrets_consumer_lag_records{topic="${topic}",partition="0"} 7`,
    );
  });

  it('the lag of partitions without a worker is shown, from the committed offset', async () => {
    const { topic, positions, metrics } = await bench(27);
    await positions.run();
    expect(await metrics.render()).toContain(
      `connection_secrets_consumer_lag_records{topic="${topic}",partition="0"} 27`,
    );
  });
});
