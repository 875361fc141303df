import { expect, it } from 'vitest';
import { checkTopics } from '../../../src/kafka/topic-checks.js';
import { createTopics as createOurTopics } from '../../../src/kafka/topics.js';
import { ping } from '../../../src/kafka/admin.js';
import type { TopicNames } from '../../../src/kafka/topics.js';
import {
  createTopics,
  describeWith,
  disposeLater,
  freePort,
  freshName,
  quietKafka,
} from '../../harness/index.js';
import { kafkaSettings, SILENT } from './support.js';

const allOf = ({ created, updated, deleted, secured, deadLetter }: TopicNames): string[] => [
  created,
  updated,
  deleted,
  secured,
  deadLetter,
];

describeWith(['kafka'], 'topics', ({ kafka: brokers }) => {
  const settings = kafkaSettings(brokers);
  function freshNames(): TopicNames {
    const base = freshName('topics');
    return {
      created: `${base}.created`,
      updated: `${base}.updated`,
      deleted: `${base}.deleted`,
      secured: `${base}.secured`,
      deadLetter: `${base}.dead-letter`,
    };
  }

  it('are created as planned, can be used at once and pass the check', async () => {
    const names = freshNames();
    const created = await createOurTopics(settings, { names }, SILENT);
    expect(created.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 5 }, () => 'created'));
    expect(await checkTopics(settings, names, SILENT)).toEqual([]);
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    disposeLater(() => admin.disconnect());
    const { topics } = await admin.fetchTopicMetadata({ topics: allOf(names) });
    expect(topics.map(({ partitions }) => partitions.length)).toEqual([6, 6, 6, 6, 6]);
  });

  it('that exist are reported and not altered', async () => {
    const names = freshNames();
    await createTopics([{ topic: names.updated, partitions: 2, config: { 'cleanup.policy': 'compact' } }], {
      brokers,
    });
    const plan = { names, partitions: 1, replicationFactor: 1, securedRetention: -1 };
    const first = await createOurTopics(settings, plan, SILENT);
    expect(first.map(({ outcome }) => outcome)).toEqual([
      'created',
      'existed',
      'created',
      'created',
      'created',
    ]);
    const again = await createOurTopics(settings, plan, SILENT);
    expect(again.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 5 }, () => 'existed'));
    const problems = await checkTopics(settings, names, SILENT);
    expect(problems.map(({ severity, topic }) => [severity, topic])).toEqual([
      ['error', names.updated],
      ['info', names.updated],
    ]);
  });

  it('that are missing are named', async () => {
    const names = freshNames();
    const problems = await checkTopics(settings, names, SILENT);
    expect(problems.map(({ topic }) => topic)).toEqual(allOf(names));
  });

  it('a group whose offsets cannot be read is a warning that names what failed', async () => {
    const names = freshNames();
    await createOurTopics(settings, { names }, SILENT);
    // kafkajs refuses to ask for a group without a name.
    const problems = await checkTopics({ ...settings, groupId: '' }, names, SILENT);
    expect(problems.map(({ severity, topic }) => [severity, topic])).toEqual(
      [names.created, names.updated, names.deleted].map((topic) => ['warning', topic]),
    );
    expect(problems[0]?.problem).toContain('(reading offsets failed: KafkaJSNonRetriableError)');
  });

  it('the broker answers a ping', async () => {
    await expect(ping(settings, { logger: SILENT, deadlineMs: 5_000 })).resolves.toBeUndefined();
  });

  it('a ping without a broker fails in time', async () => {
    const nobody = kafkaSettings(`127.0.0.1:${await freePort()}`);
    await expect(ping(nobody, { logger: SILENT, deadlineMs: 2_000 })).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
      message: 'connecting to the broker failed: ECONNREFUSED',
    });
  });
});
