import { expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import type { BatchReport } from '../../../consumers/batches.js';
import {
  createTopics,
  committedOffsets,
  describeWith,
  disposeLater,
  freshName,
  produce,
  quietKafka,
  waitFor,
} from '../../harness/index.js';
import { FakeHandler, kafkaSettings, startConsumer, transient } from './support.js';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);
const texts = (prefix: string, count: number): { value: string; partition: number }[] =>
  range(0, count).map((at) => ({ value: `${prefix}-${at}`, partition: 0 }));

describeWith(['kafka'], 'the consumer of source events', ({ kafka: brokers }) => {
  async function newTopic(partitions = 1): Promise<string> {
    const topic = freshName('source');
    await createTopics([{ topic, partitions }], { brokers });
    return topic;
  }
  const committed = async (group: string, topic: string, partition = 0): Promise<number | undefined> =>
    (await committedOffsets(group, topic)).get(partition);

  it('begins records in the order of each partition and commits the finished ones', async () => {
    const topic = await newTopic(3);
    await produce(
      topic,
      range(0, 60).map((at) => ({ value: `v${at}`, partition: at % 3 })),
    );
    const handler = new FakeHandler();
    const reports: BatchReport[] = [];
    const { settings } = startConsumer(kafkaSettings(brokers), [topic], handler, {
      onBatch: (report) => reports.push(report),
    });
    await waitFor(() => handler.done.length === 60, { what: 'all records' });
    for (const partition of [0, 1, 2]) {
      expect(handler.offsets(partition)).toEqual(range(0, 20));
      await waitFor(async () => (await committed(settings.groupId, topic, partition)) === 20, {
        what: 'the commit',
      });
    }
    const last = reports.findLast(({ partition }) => partition === 2);
    expect(last).toEqual({ topic, partition: 2, highWatermark: 20, lastOffset: 19 });
  });

  it('gives records as they are: null keys and values, headers as buffers, times', async () => {
    const topic = await newTopic();
    await produce(topic, [
      { key: null, value: null, headers: { ce_id: 'ä', __proto: 'x' }, timestampMs: 1_700_000_000_123 },
      { key: 'k', value: Buffer.from([0, 255]) },
    ]);
    const handler = new FakeHandler();
    startConsumer(kafkaSettings(brokers), [topic], handler);
    await waitFor(() => handler.done.length === 2, { what: 'both records' });
    const [first, second] = handler.done;
    expect(first).toEqual({
      ...{ topic, partition: 0, offset: 0, key: null, value: null, timestampMs: 1_700_000_000_123 },
      headers: { ce_id: Buffer.from('ä'), __proto: Buffer.from('x') },
    });
    expect(second).toMatchObject({ key: Buffer.from('k'), value: Buffer.from([0, 255]), headers: {} });
  });

  it('commits only contiguous offsets, pauses slow partitions and begins no record twice', async () => {
    const topic = await newTopic(2);
    await produce(topic, texts('slow', 6));
    const handler = new FakeHandler();
    handler.behaviour = ({ record }) => (record.partition === 0 && record.offset === 2 ? 'wait' : undefined);
    const { settings, consumer } = startConsumer(kafkaSettings(brokers), [topic], handler);
    await waitFor(() => handler.done.length === 5, { what: 'all but the slow one' });
    await waitFor(async () => (await committed(settings.groupId, topic)) === 2, {
      what: 'a commit up to the slow one',
    });
    expect(consumer.state().failing).toEqual([]);

    await produce(topic, [{ value: 'other', partition: 1 }]);
    await waitFor(() => handler.offsets(1, 'done').length === 1, {
      what: 'the other partition',
      timeoutMs: 3_000,
    });

    handler.find(0, 2)?.resolve();
    await waitFor(async () => (await committed(settings.groupId, topic)) === 6, {
      what: 'the commit of all',
    });
    await produce(topic, texts('later', 1));
    await waitFor(() => handler.offsets(0, 'done').includes(6), { what: 'the partition to go on' });
    expect(handler.offsets(0)).toEqual(range(0, 7));
  });

  it('never has more records in flight than allowed', async () => {
    const topic = await newTopic();
    await produce(topic, texts('many', 20));
    const handler = new FakeHandler();
    handler.behaviour = () => 'wait';
    startConsumer(kafkaSettings(brokers), [topic], handler, { concurrency: 3 });
    await waitFor(() => handler.begun.length === 3, { what: 'three records' });
    handler.find(0, 1)?.resolve();
    await waitFor(() => handler.begun.length === 4, { what: 'the next one' });
    expect(handler.offsets(0)).toEqual([0, 1, 2, 3]);
    handler.behaviour = () => undefined;
    for (const handled of handler.begun) handled.resolve();
    await waitFor(() => handler.done.length === 20, { what: 'all' });
  });

  it('pauses a failing partition, tries it again, and lets the others go on within three seconds', async () => {
    const topic = await newTopic(2);
    await produce(topic, texts('first', 3));
    const handler = new FakeHandler();
    let away = true;
    handler.behaviour = ({ record, reject }) => {
      if (!away || record.partition !== 0 || record.offset !== 1) return undefined;
      reject(transient());
      return 'wait';
    };
    const pauses: string[] = [];
    const { settings, consumer, fatal } = startConsumer(kafkaSettings(brokers), [topic], handler, {
      backoff: { minMs: 100, maxMs: 400 },
      onPause: ({ code }) => pauses.push(code),
      onResume: () => pauses.push('resumed'),
    });
    const failing = await waitFor(() => consumer.state().failing[0], { what: 'the failure' });
    expect(failing).toMatchObject({ topic, partition: 0, offset: 1, code: 'STORE_UNAVAILABLE' });
    await waitFor(async () => (await committed(settings.groupId, topic)) === 1, {
      what: 'the commit before the failure',
    });

    for (const value of ['a', 'b', 'c']) {
      await produce(topic, [{ value, partition: 1 }]);
      await waitFor(() => handler.texts().includes(value), { what: 'the other partition', timeoutMs: 3_000 });
    }
    await waitFor(() => (consumer.state().failing[0]?.attempts ?? 0) >= 4, { what: 'more attempts' });
    expect(await committed(settings.groupId, topic)).toBe(1);
    expect(consumer.state().joined).toBe(true);

    away = false;
    await waitFor(async () => (await committed(settings.groupId, topic)) === 3, { what: 'all committed' });
    await waitFor(() => consumer.state().failing.length === 0, { what: 'no failure' });
    expect(pauses.slice(0, 2)).toEqual(['STORE_UNAVAILABLE', 'resumed']);
    expect(fatal).toEqual([]);
  });

  it('tries one record alone after a failure', async () => {
    const topic = await newTopic();
    await produce(topic, texts('alone', 5));
    const handler = new FakeHandler();
    handler.behaviour = ({ reject }) => {
      reject(transient());
      return 'wait';
    };
    const { consumer } = startConsumer(kafkaSettings(brokers), [topic], handler, {
      backoff: { minMs: 10, maxMs: 20 },
    });
    await waitFor(() => (consumer.state().failing[0]?.attempts ?? 0) >= 4, { what: 'attempts' });
    const begun = handler.offsets(0);
    expect(begun.slice(0, 5)).toEqual(range(0, 5));
    expect(new Set(begun.slice(5))).toEqual(new Set([0]));
  });

  it('starts again at the committed offset: no record is lost', async () => {
    const topic = await newTopic();
    await produce(topic, texts('again', 8));
    const settings = kafkaSettings(brokers);
    const first = new FakeHandler();
    first.behaviour = ({ record }) => (record.offset >= 3 ? 'wait' : undefined);
    const before = startConsumer(settings, [topic], first, { concurrency: 4 });
    await waitFor(() => first.find(0, 6), { what: 'records under way' });
    first.find(0, 5)?.resolve();
    await before.consumer.stop(100);
    expect(first.find(0, 3)?.signal.aborted).toBe(true);
    expect(await committed(settings.groupId, topic)).toBe(3);

    const second = new FakeHandler();
    startConsumer(settings, [topic], second);
    await waitFor(() => second.done.length === 5, { what: 'the rest' });
    expect(second.offsets(0)).toEqual(range(3, 8));
  });

  it('finishes the records in flight, commits and leaves the group when it stops', async () => {
    const topic = await newTopic();
    await produce(topic, texts('grace', 3));
    const handler = new FakeHandler();
    handler.behaviour = () => 'wait';
    const { consumer, settings } = startConsumer(kafkaSettings(brokers), [topic], handler);
    await waitFor(() => handler.begun.length === 3, { what: 'records under way' });
    const stopped = consumer.stop(10_000);
    await produce(topic, texts('late', 1));
    for (const handled of handler.begun) handled.resolve();
    await stopped;
    expect(handler.begun.length).toBe(3);
    expect(handler.begun.every(({ signal }) => !signal.aborted)).toBe(true);
    expect(await committed(settings.groupId, topic)).toBe(3);
    const admin = quietKafka(brokers).admin();
    disposeLater(() => admin.disconnect());
    const { groups } = await admin.describeGroups([settings.groupId]);
    expect(groups[0]?.members).toEqual([]);
  });

  it('also commits records that finish while their partition is paused and the consumer stops', async () => {
    const topic = await newTopic();
    await produce(topic, texts('held', 2));
    const handler = new FakeHandler();
    handler.behaviour = () => 'wait';
    const reports: BatchReport[] = [];
    const { consumer, settings } = startConsumer(kafkaSettings(brokers), [topic], handler, {
      onBatch: (report) => reports.push(report),
    });
    await waitFor(() => reports.length > 0, { what: 'the batch to be handed over' });
    const stopped = consumer.stop(10_000);
    for (const handled of handler.begun) handled.resolve();
    await stopped;
    expect(await committed(settings.groupId, topic)).toBe(2);
  });

  it('ends at an error that no retry cures', async () => {
    const topic = await newTopic();
    await produce(topic, texts('fatal', 4));
    const handler = new FakeHandler();
    handler.behaviour = ({ record, reject }) => {
      if (record.offset !== 2) return undefined;
      reject(new TypeError('hunter2'));
      return 'wait';
    };
    const { fatal, settings, consumer } = startConsumer(kafkaSettings(brokers), [topic], handler);
    const error = await waitFor(() => fatal[0], { what: 'the error' });
    expect(error).toBeInstanceOf(WorkerError);
    expect(error).toMatchObject({
      code: 'INTERNAL',
      message: `handling offset 2 of ${topic}/0 failed: TypeError`,
    });
    const { cause } = error;
    expect(cause instanceof Error ? `${cause.message} ${cause.stack ?? ''}` : '').not.toContain('hunter2');
    await consumer.stop(1_000);
    expect(await committed(settings.groupId, topic)).toBe(2);
    expect(fatal).toHaveLength(1);
  });

  it('passes the gaps that transactions leave and commits behind them', async () => {
    const topic = await newTopic();
    const producer = quietKafka(brokers).producer({
      transactionalId: freshName('tx'),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    disposeLater(() => producer.disconnect());
    for (const [values, ending] of [
      [['a', 'b'], 'commit'],
      [['x'], 'abort'],
      [['c'], 'commit'],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: values.map((value) => ({ value })) });
      await transaction[ending]();
    }
    const handler = new FakeHandler();
    const { settings } = startConsumer(kafkaSettings(brokers), [topic], handler);
    await waitFor(() => handler.done.length === 3, { what: 'the committed records' });
    expect(handler.texts()).toEqual(['a', 'b', 'c']);
    // a b marker x marker c marker
    await waitFor(async () => (await committed(settings.groupId, topic)) === 7, {
      what: 'a commit behind the last marker',
    });
  });

  it('goes on with the oldest record if its offset was deleted', async () => {
    const topic = await newTopic();
    const settings = kafkaSettings(brokers);
    await produce(topic, texts('gone', 6));
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    disposeLater(() => admin.disconnect());
    await admin.setOffsets({ groupId: settings.groupId, topic, partitions: [{ partition: 0, offset: '1' }] });
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] });
    const handler = new FakeHandler();
    const { fatal } = startConsumer(settings, [topic], handler);
    await waitFor(() => handler.done.length === 3, { what: 'what is left' });
    expect(handler.offsets(0)).toEqual([3, 4, 5]);
    expect(fatal).toEqual([]);
  });
});
