import { CreateSecretCommand, GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { GetParameterCommand, PutParameterCommand } from '@aws-sdk/client-ssm';
import { existsSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  createTopics,
  describeWith,
  describeWithOwn,
  endOffsets,
  freshName,
  jsonOf,
  produce,
  queryDatabase,
  quietKafka,
  readAll,
  startKafka,
  startPostgres,
  type DatabaseEngine,
  type PartHandle,
} from '../harness/index.js';
import { isAlive } from '../harness/cache.js';

describeWith(['kafka'], 'the Kafka of this run', ({ kafka }) => {
  it('takes records and gives them back in order, with keys, headers and null values', async () => {
    const topic = freshName('topic');
    await createTopics([{ topic, partitions: 3, config: { 'retention.ms': '3600000' } }]);
    await produce(topic, [
      { key: 'a', value: '{"n":1}', partition: 2, headers: { h: 'x' }, timestampMs: 1_700_000_000_000 },
      { key: 'a', value: null, partition: 2 },
      { key: 'b', value: Buffer.from('three'), partition: 0 },
    ]);
    const records = await readAll(topic);
    expect(records.map(({ partition, offset, key }) => [partition, offset, key])).toEqual([
      [0, 0, 'b'],
      [2, 0, 'a'],
      [2, 1, 'a'],
    ]);
    expect(records[1]).toMatchObject({ headers: { h: 'x' }, timestampMs: 1_700_000_000_000 });
    expect(jsonOf(records[1]!)).toEqual({ n: 1 });
    expect(records[2]!.value).toBeNull();
    expect([...(await endOffsets(topic))].sort()).toEqual([
      [0, 1],
      [1, 0],
      [2, 2],
    ]);
  });

  it('reads nothing from an empty topic and creates no topic by itself', async () => {
    const topic = freshName('topic');
    await createTopics([topic]);
    expect(await readAll(topic)).toEqual([]);
    const admin = quietKafka(kafka, { attempts: 0 }).admin();
    await admin.connect();
    await expect(admin.fetchTopicOffsets(freshName('nowhere'))).rejects.toThrow('does not host this topic');
    await admin.disconnect();
  });
});

const SERVERS: readonly ['postgres' | 'mariadb', DatabaseEngine][] = [
  ['postgres', 'postgres'],
  ['mariadb', 'mariadb'],
];
for (const [part, engine] of SERVERS) {
  describeWith([part], `the ${part} of this run`, (addresses) => {
    it('gives each test a database of its own, and removes it', async () => {
      const [one, other] = [await createDatabase(engine), await createDatabase(engine)];
      await queryDatabase(one, 'CREATE TABLE t (a VARCHAR(10))');
      await queryDatabase(one, "INSERT INTO t VALUES ('ü€🔑')");
      expect(await queryDatabase(one, 'SELECT a FROM t')).toEqual([{ a: 'ü€🔑' }]);
      await expect(queryDatabase(other, 'SELECT a FROM t')).rejects.toThrow();
      await one.dispose();
      await expect(queryDatabase(one, 'SELECT 1')).rejects.toThrow();
      expect(new URL(addresses[part]).hostname).toBe('127.0.0.1');
    });
  });
}

describeWith(['moto'], 'the moto of this run', () => {
  it('stores secrets and parameters', async () => {
    const { secretsManager, ssm } = awsClients();
    const name = freshName('/harness/secret');
    await secretsManager.send(new CreateSecretCommand({ Name: name, SecretString: 'one' }));
    await ssm.send(new PutParameterCommand({ Name: name, Value: 'two', Type: 'SecureString' }));
    const secret = await secretsManager.send(new GetSecretValueCommand({ SecretId: name }));
    const parameter = await ssm.send(new GetParameterCommand({ Name: name, WithDecryption: true }));
    expect([secret.SecretString, parameter.Parameter?.Value]).toEqual(['one', 'two']);
  });
});

describeWithOwn(['kafka', 'postgres'], 'servers of a test’s own', () => {
  const started: PartHandle[] = [];

  it('Kafka keeps its port and its records over stop, kill and start', async () => {
    const kafka = await startKafka();
    started.push(kafka);
    const on = { brokers: kafka.address };
    const topic = freshName('topic');
    await createTopics([topic], on);
    await produce(topic, [{ value: 'kept' }], on);
    const before = kafka.pid;
    await kafka.kill();
    expect(isAlive(before)).toBe(false);
    expect(() => kafka.pid).toThrow('kafka does not run');
    await kafka.start();
    expect(kafka.pid).not.toBe(before);
    expect((await readAll(topic, on)).map(({ value }) => value?.toString())).toEqual(['kept']);
    await kafka.restart();
    expect([...(await endOffsets(topic, on))]).toEqual([[0, 1]]);
  });

  it('PostgreSQL keeps what was committed over a kill and a restart', async () => {
    const postgres = await startPostgres();
    started.push(postgres);
    const database = await createDatabase('postgres', postgres.address);
    await queryDatabase(database, 'CREATE TABLE t AS SELECT 1 AS a');
    await postgres.kill();
    await expect(queryDatabase(database, 'SELECT a FROM t')).rejects.toThrow();
    await postgres.start();
    await postgres.restart();
    expect(await queryDatabase(database, 'SELECT a FROM t')).toEqual([{ a: 1 }]);
  });

  afterAll(() => {
    expect(started.map(({ dataDir }) => existsSync(dataDir))).toEqual([false, false]);
  });
});
