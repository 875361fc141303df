import { beforeEach, expect, it } from 'vitest';
import { KafkaOutlet } from '../../../producers/outlet.js';
import { ping } from '../../../src/kafka/admin.js';
import type { KafkaOutletOptions } from '../../../producers/outlet.js';
import { byteSize, type OutgoingRecord, type Stream } from '../../../src/transport.js';
import {
  createTopics,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  quietKafka,
  readAll,
  startKafka,
  waitFor,
} from '../../harness/index.js';
import { kafkaSettings, SILENT } from './support.js';

function record(key: string, value: string | Buffer | null, stream: Stream = 'secured'): OutgoingRecord {
  return { stream, key, value: value === null ? null : Buffer.from(value), headers: { code: 'ü' } };
}

function outletTo(
  brokers: string,
  topics: { secured: string; deadLetter: string },
  changes: Partial<KafkaOutletOptions> = {},
): KafkaOutlet {
  const outlet = new KafkaOutlet({
    settings: kafkaSettings(brokers),
    topics,
    logger: SILENT,
    ...changes,
  });
  disposeLater(() => outlet.close(1_000));
  return outlet;
}

describeWith(['kafka'], 'the outlet to Kafka', ({ kafka: brokers }) => {
  let topics: { secured: string; deadLetter: string };
  beforeEach(async () => {
    topics = { secured: freshName('secured'), deadLetter: freshName('dead') };
    const config = { 'max.message.bytes': '20000' };
    await createTopics(
      [
        { topic: topics.secured, partitions: 3, config },
        { topic: topics.deadLetter, config },
      ],
      { brokers },
    );
  });

  it('has written everything in order per key when it resolves, over both streams', async () => {
    const outlet = outletTo(brokers, topics);
    const records = Array.from({ length: 60 }, (_, at) => record(`key-${at % 5}`, `value-${at}`));
    await outlet.send([...records, record('key-0', null, 'dead-letter')]);
    const written = await readAll(topics.secured);
    expect(written).toHaveLength(60);
    for (let key = 0; key < 5; key += 1) {
      const values = written.filter((each) => each.key === `key-${key}`).map(({ value }) => String(value));
      expect(values).toEqual(
        records.filter((each) => each.key === `key-${key}`).map(({ value }) => String(value)),
      );
    }
    expect(await readAll(topics.deadLetter)).toMatchObject([
      { key: 'key-0', value: null, headers: { code: 'ü' } },
    ]);
  });

  it('chooses the same partition for a key as Java’s producers', async () => {
    await createTopics([{ topic: `${topics.secured}-six`, partitions: 6 }], { brokers });
    const outlet = outletTo(brokers, { ...topics, secured: `${topics.secured}-six` });
    // Utils.toPositive(Utils.murmur2(key)) % 6 of org.apache.kafka.common.utils.Utils; murmur2("21") = -973932308.
    await outlet.send([record('21', 'x')]);
    expect(await readAll(`${topics.secured}-six`)).toMatchObject([
      { partition: (-973932308 & 0x7fffffff) % 6 },
    ]);
  });

  it('writes many records that are too large together', async () => {
    const outlet = outletTo(brokers, topics);
    await outlet.readLimits();
    const records = Array.from({ length: 12 }, (_, at) => record('one-key', Buffer.alloc(9_000, at)));
    await outlet.send(records);
    const written = await readAll(topics.secured);
    expect(written.map(({ value }) => value?.[0])).toEqual(records.map(({ value }) => value?.[0]));
  });

  it('knows the largest record size, sends that, and refuses more without sending anything', async () => {
    const outlet = outletTo(brokers, topics);
    await outlet.readLimits();
    const limit = outlet.maxRecordBytes('secured');
    expect(limit).toBe(20_000);
    // Many headers: what surrounds their names and values counts as well.
    const headers = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`header-${at}`, 'ü']));
    const ofSize = (bytes: number): OutgoingRecord => {
      const rest = { ...record('k', ''), headers };
      return { ...rest, value: Buffer.alloc(bytes - byteSize(rest)) };
    };
    await outlet.send([ofSize(limit)]);
    await expect(outlet.send([record('k', 'small'), ofSize(limit + 1)])).rejects.toMatchObject({
      code: 'OUTPUT_TOO_LARGE',
    });
    expect(await readAll(topics.secured)).toHaveLength(1);
  });

  it('learns from the broker that the limit was lowered', async () => {
    const outlet = outletTo(brokers, topics);
    expect(outlet.maxRecordBytes('secured')).toBeGreaterThan(1_000_000);
    await expect(outlet.send([record('k', Buffer.alloc(30_000))])).rejects.toMatchObject({
      code: 'OUTPUT_TOO_LARGE',
    });
    await waitFor(() => outlet.maxRecordBytes('secured') === 20_000, { what: 'the new limit' });
  });

  it('fails with the broker’s name of the error, and works once the topic is there', async () => {
    const topic = freshName('later');
    const outlet = outletTo(brokers, { ...topics, secured: topic });
    await expect(outlet.send([record('k', 'v')])).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
      message: 'sending failed: UNKNOWN_TOPIC_OR_PARTITION',
    });
    await createTopics([{ topic }], { brokers });
    await outlet.send([record('k', 'v')]);
    expect(await readAll(topic)).toHaveLength(1);
  });

  it('works again after the topic was deleted and created again', async () => {
    const outlet = outletTo(brokers, topics);
    await outlet.send([record('k', 'before')]);
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    disposeLater(() => admin.disconnect());
    await admin.deleteTopics({ topics: [topics.secured] });
    await waitFor(async () => !(await admin.listTopics()).includes(topics.secured), { what: 'the deletion' });
    await outlet.send([record('k', 'lost')]).catch(() => undefined);
    await createTopics([{ topic: topics.secured }], { brokers });
    await waitFor(async () => outlet.send([record('k', 'after')]).then(() => true), {
      what: 'a send that works',
    });
    expect((await readAll(topics.secured)).map(({ value }) => String(value))).toContain('after');
  });

  it('sends nothing after it is closed', async () => {
    const outlet = outletTo(brokers, topics);
    await outlet.send([record('k', 'v')]);
    await outlet.close(1_000);
    await expect(outlet.send([record('k', 'v')])).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });
});

describeWithOwn(['kafka'], 'the outlet and a broker that fails', () => {
  it('gives up in time on a broker that does not answer, sends nothing late, and recovers by itself', async () => {
    const broker = await startKafka();
    const topics = { secured: 'secured', deadLetter: 'dead' };
    await createTopics([{ topic: 'secured' }, { topic: 'dead' }], { brokers: broker.address });
    const outlet = outletTo(broker.address, topics, {
      settings: kafkaSettings(broker.address, { requestTimeoutMs: 1_500 }),
    });
    await outlet.send([record('k', 'before')]);

    await broker.kill();
    await expect(outlet.send([record('k', 'while down')])).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
    });
    await broker.start();
    await waitFor(async () => outlet.send([record('k', 'after')]).then(() => true), {
      what: 'a send that works',
    });

    broker.suspend();
    const pinged = kafkaSettings(broker.address);
    await waitFor(
      async () =>
        ping(pinged, { logger: SILENT, deadlineMs: 300 }).then(
          () => false,
          () => true,
        ),
      {
        what: 'the broker to be silent',
      },
    );
    const begin = performance.now();
    // The first of these may still use the open connection, and land: its outcome is unknown. The second cannot.
    await expect(outlet.send([record('k', 'unknown')])).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await expect(outlet.send([record('k', 'never')])).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(performance.now() - begin).toBeLessThan(2 * 1_500 + 500);
    broker.resume();
    await waitFor(async () => outlet.send([record('k', 'last')]).then(() => true), {
      what: 'a send that works',
    });

    const values = (await readAll('secured', { brokers: broker.address })).map(({ value }) => String(value));
    expect(values.filter((value) => value !== 'unknown')).toEqual(['before', 'after', 'last']);
  });
});
