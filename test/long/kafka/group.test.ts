import { AssignerProtocol } from 'kafkajs';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { GroupMember } from '../../../consumers/group-member.js';
import {
  createTopics,
  committedOffsets,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  produce,
  startKafka,
  waitFor,
} from '../../harness/index.js';
import type { WorkerError } from '../../../src/errors.js';
import { createGroupClient } from '../../../src/kafka/client.js';
import { readGroup } from '../../../src/kafka/admin.js';
import type { KafkaSettings } from '../../../src/kafka/settings.js';
import {
  FakeHandler,
  kafkaSettings,
  SILENT,
  startConsumer,
  transient,
} from '../../integration/kafka/support.js';

describeWith(['kafka'], 'several consumers of one group', ({ kafka: brokers }) => {
  it('wait, all of them, for a leader that has died while the partitions were shared out', async () => {
    const topic = freshName('headless');
    await createTopics([topic], { brokers });
    const settings = kafkaSettings(brokers, { requestTimeoutMs: 1_000 });
    // Whoever leads shares out, and these die of it; of the next round, one of them leads as well, quite probably. Not
    // more of them: after kafkajs's three tries in a row a member begins anew, as another one.
    const first = await joinDyingAsLeader(settings, topic);
    const others = [1, 2].map(async () => joinDyingAsLeader(settings, topic));
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
    const { consumer, fatal } = startConsumer(settings, [topic], new FakeHandler(), { logger });
    await waitFor(() => consumer.state().joined, { what: 'the group without a leader', timeoutMs: 60_000 });
    expect(lines.filter((line) => line.includes('lost its group'))).toEqual([]);
    expect(fatal).toEqual([]);
    for (const member of [first, ...(await Promise.all(others))]) member.close();
  }, 120_000);

  it('share the partitions; what goes to the other is aborted and not committed by the first', async () => {
    const topic = freshName('shared');
    await createTopics([{ topic, partitions: 4 }], { brokers });
    const settings = kafkaSettings(brokers);
    const first = new FakeHandler();
    first.behaviour = () => 'wait';
    const one = startConsumer(settings, [topic], first);
    await waitFor(() => one.assignments.at(-1)?.length === 4, { what: 'all partitions' });
    await produce(
      topic,
      [0, 1, 2, 3].map((partition) => ({ value: `v${partition}`, partition })),
    );
    await waitFor(() => first.begun.length === 4, { what: 'records under way' });

    const second = new FakeHandler();
    const two = startConsumer(settings, [topic], second);
    const mine = await waitFor(() => two.assignments.at(-1), { what: 'the second to join' });
    await waitFor(() => one.assignments.length >= 2, { what: 'the first to join again' });
    expect(mine.length).toBe(2);
    const moved = new Set(mine.map(({ partition }) => partition));
    for (const { record, signal } of first.begun) expect(signal.aborted).toBe(moved.has(record.partition));

    await waitFor(() => second.done.length === 2, { what: 'the moved records at the second' });
    for (const handled of first.begun) handled.resolve();
    await waitFor(
      async () =>
        [...(await committedOffsets(settings.groupId, topic)).values()].every((offset) => offset === 1),
      { what: 'everything committed' },
    );
    // What stayed was not begun again: the slow work survived the rebalance.
    expect(first.begun.length).toBe(4);

    await two.consumer.stop(1_000);
    await waitFor(() => one.assignments.at(-1)?.length === 4, { what: 'all partitions back' });
    await produce(
      topic,
      [0, 1, 2, 3].map((partition) => ({ value: `w${partition}`, partition })),
    );
    first.behaviour = () => undefined;
    await waitFor(
      () => {
        for (const handled of first.begun) handled.resolve();
        return [0, 1, 2, 3].every((partition) => first.offsets(partition, 'done').includes(1));
      },
      { what: 'all partitions to be read by the first' },
    );
    expect([...one.fatal, ...two.fatal]).toEqual([]);
  });

  it('lose no record while members come and go', async () => {
    const topic = freshName('churn');
    await createTopics([{ topic, partitions: 6 }], { brokers });
    const settings = kafkaSettings(brokers);
    const handlers: FakeHandler[] = [];
    const start = (): ReturnType<typeof startConsumer> => {
      const handler = new FakeHandler();
      handlers.push(handler);
      handler.behaviour = ({ resolve }) => {
        setImmediate(resolve);
        return 'wait';
      };
      return startConsumer(settings, [topic], handler);
    };
    const send = async (round: number): Promise<void> => {
      const records = Array.from({ length: 60 }, (_, at) => ({ value: `${round}-${at}`, partition: at % 6 }));
      await produce(topic, records);
    };
    const one = start();
    await waitFor(() => one.assignments.length > 0, { what: 'the first' });
    await send(0);
    const two = start();
    await send(1);
    await waitFor(() => two.assignments.length > 0, { what: 'the second' });
    await send(2);
    await one.consumer.stop(2_000);
    await send(3);
    await waitFor(() => new Set(handlers.flatMap((handler) => handler.texts())).size === 240, {
      what: 'all records',
    });
    await waitFor(
      async () =>
        [...(await committedOffsets(settings.groupId, topic)).values()].every((offset) => offset === 40),
      { what: 'everything committed' },
    );
    expect([...one.fatal, ...two.fatal]).toEqual([]);
  });

  it('stop trying a partition that went away, and forget that it failed', async () => {
    const topic = freshName('failing');
    await createTopics([{ topic, partitions: 2 }], { brokers });
    const settings = kafkaSettings(brokers);
    const first = new FakeHandler();
    first.behaviour = ({ reject }) => {
      reject(transient());
      return 'wait';
    };
    const one = startConsumer(settings, [topic], first, { backoff: { minMs: 100, maxMs: 200 } });
    await produce(
      topic,
      [0, 1].map((partition) => ({ value: 'v', partition })),
    );
    await waitFor(() => one.consumer.state().failing.length === 2, { what: 'both to fail' });
    const second = new FakeHandler();
    startConsumer(settings, [topic], second);
    await waitFor(() => second.done.length === 1, { what: 'the second to take one over' });
    await waitFor(() => one.consumer.state().failing.length === 1, { what: 'one failure left' });
    first.behaviour = () => undefined;
    await waitFor(() => one.consumer.state().failing.length === 0, { what: 'no failure left' });
  });

  it('read one topic for all three events once', async () => {
    const topic = freshName('all');
    await createTopics([{ topic }], { brokers });
    await produce(topic, [{ value: 'v' }]);
    const handler = new FakeHandler();
    const topics = [topic, topic, topic];
    const { consumer } = startConsumer(kafkaSettings(brokers), topics, handler);
    await waitFor(() => handler.done.length === 1, { what: 'the record' });
    expect(consumer.state().partitions).toEqual([{ topic, partition: 0 }]);
  });
});

describeWith(['kafka'], 'a member that joins anew', ({ kafka: brokers }) => {
  function member(settings: KafkaSettings, topic: string) {
    const seen: string[] = [];
    const fatal: WorkerError[] = [];
    let joinings = 0;
    const joining = new GroupMember({
      ...{ settings, topics: [topic], logger: SILENT, joinTimeoutMs: 2_000 },
      eachBatch: async ({ batch }) => {
        seen.push(...batch.messages.map(({ value }) => String(value)));
        await Promise.resolve();
      },
      onJoined: () => (joinings += 1),
      onFatal: (error) => {
        fatal.push(error);
        void joining.rejoin();
      },
    });
    disposeLater(() => joining.leave());
    joining.start();
    return { member: joining, seen, fatal, joinings: () => joinings };
  }

  it('is the one member that the group has then, and gets what comes', async () => {
    const topic = freshName('anew');
    await createTopics([{ topic, partitions: 2 }], { brokers });
    const settings = kafkaSettings(brokers);
    const { member: joined, seen, fatal, joinings } = member(settings, topic);
    await waitFor(() => joined.alive, { what: 'the group' });
    // Reasons to join anew may come together.
    await Promise.all([joined.rejoin(), joined.rejoin()]);
    await waitFor(() => joinings() === 2 && joined.alive, { what: 'the group again' });
    expect(joined.membership.partitions).toHaveLength(2);
    expect(await readGroup(settings, [topic], SILENT)).toMatchObject({ members: 1 });
    await produce(topic, [{ value: 'after' }], { brokers });
    await waitFor(() => seen.includes('after'), { what: 'the record' });
    expect(fatal).toEqual([]);
  });

  it('is told why it does not get in, and gets in once it can', async () => {
    const topic = freshName('later');
    const { member: joined, fatal } = member(kafkaSettings(brokers), topic);
    const why = await waitFor(() => fatal[0], { what: 'the reason' });
    expect(why.message).toContain('(UNKNOWN_TOPIC_OR_PARTITION)');
    expect(joined.lastError).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await createTopics([{ topic }], { brokers });
    await waitFor(() => joined.alive, { what: 'the group' });
    expect(joined.lastError).toBeNull();
  });
});

describeWithOwn(['kafka'], 'the consumer and a broker that fails', () => {
  it('waits for a broker that is not there, at start and later, and goes on where it was', async () => {
    const broker = await startKafka();
    const on = { brokers: broker.address };
    await createTopics([{ topic: 'source' }], { brokers: broker.address });
    await produce('source', [{ value: 'a' }], on);
    await broker.stop();

    const handler = new FakeHandler();
    const settings = kafkaSettings(broker.address, { requestTimeoutMs: 2_000 });
    const { consumer, fatal } = startConsumer(settings, ['source'], handler, { joinTimeoutMs: 20_000 });
    expect(consumer.state().joined).toBe(false);
    await broker.start();
    await waitFor(() => handler.done.length === 1, { what: 'the first record', timeoutMs: 90_000 });

    await broker.kill();
    await waitFor(() => !consumer.state().joined, { what: 'the loss to be seen', timeoutMs: 90_000 });
    await broker.start();
    await produce('source', [{ value: 'b' }], on);
    await waitFor(() => handler.texts().includes('b'), { what: 'the second record', timeoutMs: 90_000 });
    await waitFor(() => consumer.state().joined, { what: 'to be a member again' });
    expect(fatal).toEqual([]);
  });

  it('is stopped in time while the broker does not answer', async () => {
    const broker = await startKafka();
    await createTopics([{ topic: 'source' }], { brokers: broker.address });
    const settings = kafkaSettings(broker.address, { requestTimeoutMs: 30_000 });
    const { consumer, assignments } = startConsumer(settings, ['source'], new FakeHandler());
    await waitFor(() => assignments.length > 0, { what: 'the group' });
    broker.suspend();
    const begin = performance.now();
    await consumer.stop(500);
    expect(performance.now() - begin).toBeLessThan(9_000);
    broker.resume();
  });

  it('ends where the broker answers and the group cannot be joined', async () => {
    const broker = await startKafka();
    const settings = kafkaSettings(broker.address, { rebalanceTimeoutMs: 1_000, sessionTimeoutMs: 1_000 });
    const { fatal } = startConsumer(settings, ['no-such-topic'], new FakeHandler(), { joinTimeoutMs: 2_000 });
    const error = await waitFor(() => fatal[0], { what: 'the end', timeoutMs: 30_000 });
    expect(error).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('could not be joined') as string,
    });
  });
});

/** A member that is never heard of again when it is asked to share out the partitions. Until then it waits as ours do. */
async function joinDyingAsLeader(settings: KafkaSettings, topic: string): Promise<{ close(): void }> {
  const client = createGroupClient(settings, { logger: SILENT });
  disposeLater(async () => {
    await Promise.resolve();
    client.close();
  });
  const [version, metadata] = [0, AssignerProtocol.MemberMetadata.encode];
  const consumer = client.kafka.consumer({
    groupId: settings.groupId,
    sessionTimeout: settings.sessionTimeoutMs,
    rebalanceTimeout: settings.rebalanceTimeoutMs,
    partitionAssigners: [
      () => ({
        name: 'RoundRobinAssigner',
        version,
        assign: () => {
          client.close();
          return new Promise(() => undefined);
        },
        protocol: ({ topics }) => ({
          name: 'RoundRobinAssigner',
          metadata: metadata({ version, topics, userData: Buffer.alloc(0) }),
        }),
      }),
    ],
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic] });
  void consumer.run({ eachMessage: () => Promise.resolve() }).catch(() => undefined);
  return client;
}
