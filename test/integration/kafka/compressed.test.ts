import { CompressionTypes } from 'kafkajs';
import { expect, it } from 'vitest';
import {
  committedOffsets,
  createTopics,
  describeWith,
  freshName,
  quietKafka,
  waitFor,
} from '../../harness/index.js';
import { LIMITS } from '../../../src/limits.js';
import { writeAllCodecs } from '../../harness/codecs.js';
import { FakeHandler, kafkaSettings, startConsumer } from './support.js';

const { GZIP, Snappy, LZ4, ZSTD } = CompressionTypes;
type Message = { key?: string; value: Buffer | string; headers?: Record<string, string> };

describeWith(['kafka'], 'compressed batches', ({ kafka: brokers }) => {
  /** Each of `batches` as one batch. */
  async function send(compression: CompressionTypes, batches: readonly Message[][]): Promise<string> {
    writeAllCodecs();
    const topic = freshName('source');
    await createTopics([{ topic, partitions: 1 }], { brokers });
    const producer = quietKafka(brokers).producer();
    await producer.connect();
    try {
      for (const messages of batches) await producer.send({ topic, compression, messages });
    } finally {
      await producer.disconnect();
    }
    return topic;
  }

  /** Reads a topic to its end, and once more as a worker that was killed and started again. */
  async function readTwice(topic: string, records: number, end: number): Promise<FakeHandler> {
    const handler = new FakeHandler();
    const running = startConsumer(kafkaSettings(brokers), [topic], handler);
    await waitFor(() => handler.done.length >= records, { what: 'all records' });
    const { groupId } = running.settings;
    await waitFor(async () => (await committedOffsets(groupId, topic)).get(0) === end, {
      what: 'the commit',
    });
    expect(running.fatal).toEqual([]);
    await running.consumer.stop(0);
    const again = new FakeHandler();
    const second = startConsumer(running.settings, [topic], again);
    await waitFor(() => second.consumer.state().joined, { what: 'the second member' });
    expect(again.done).toEqual([]);
    return handler;
  }

  it.each([
    ['gzip', GZIP],
    ['snappy', Snappy],
    ['lz4', LZ4],
    ['zstd', ZSTD],
  ])('reads %s', async (_, compression) => {
    const topic = await send(compression, [
      [{ value: 'one' }, { key: 'k', value: 'two', headers: { a: 'b' } }],
    ]);
    const handler = await readTwice(topic, 2, 2);
    expect(handler.texts()).toEqual(['one', 'two']);
    expect(handler.done[1]?.headers['a']?.toString()).toBe('b');
  });

  it.each([
    ['gzip', GZIP],
    ['lz4', LZ4],
    ['zstd', ZSTD],
  ])('goes on behind a bomb in %s', async (_, compression) => {
    const topic = await send(compression, [
      [{ value: 'before' }],
      [{ key: 'bomb', value: Buffer.alloc(40_000_000) }, { value: 'beside' }],
      [{ value: 'after' }],
    ]);
    const handler = await readTwice(topic, 3, 4);
    expect(handler.done.map(({ offset, value }) => [offset, value?.toString() ?? null])).toEqual([
      [0, 'before'],
      [2, null],
      [3, 'after'],
    ]);
    expect(handler.done[1]?.unread).toMatchObject({ reason: 'batch-bytes', firstOffset: 1 });
  });

  it('reads the records beside one that is too large or has too many headers', async () => {
    const headers = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`h${at}`, 'x']));
    const topic = await send(GZIP, [
      [
        { key: 'large', value: Buffer.alloc(LIMITS.recordBytes + 1) },
        { value: 'beside' },
        { key: 'h', value: 'x', headers },
      ],
    ]);
    const handler = await readTwice(topic, 3, 3);
    expect(handler.done.map(({ unread }) => unread?.reason ?? null)).toEqual([
      'record-bytes',
      null,
      'record-headers',
    ]);
    expect(handler.done.map(({ key }) => key?.toString() ?? null)).toEqual(['large', null, 'h']);
    expect(handler.texts()[1]).toBe('beside');
  });
});
