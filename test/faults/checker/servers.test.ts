import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { beforeAll, expect, it } from 'vitest';
import {
  awsClients,
  AWS_CREDENTIALS,
  AWS_REGION,
  createDatabase,
  describeWith,
  freshName,
  produce,
  queryDatabase,
  readAll,
  waitFor,
  type DatabaseEngine,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { createWorld, publish, startWorker } from '../../e2e/fixture.js';
import { history } from './bench.js';
import { checkInvariants, unsettled, type CheckInput, type StoreSource } from './index.js';

interface Setting {
  readonly engine: DatabaseEngine;
  readonly manager: string;
  readonly endpoint: string;
  readonly store: StoreSource;
  readonly prefix: string;
}

/** The history through a real worker, until nothing is going on any more. */
async function run(
  kafka: string,
  { engine, manager, endpoint, store, prefix }: Setting,
): Promise<CheckInput> {
  const database = await createDatabase(engine);
  const world = await createWorld({
    brokers: kafka,
    databaseUrl: database.url,
    manager,
    env: {
      ...awsClients(endpoint).env,
      SECRET_MANAGER_PREFIX: prefix,
      SECRET_MANAGER_WRITES_PER_SECOND: '1000',
      WAIT_SECONDS: '1',
    },
  });
  const { topics, key, env } = world;
  const events = history();
  // One after another: the history says what arrives late.
  await publish(
    topics.updated,
    events.map(({ event }) => event),
    kafka,
  );
  const input: CheckInput = {
    published: events.map(({ published }) => published),
    databaseUrl: database.url,
    stores: { [manager]: store },
    secured: { kind: 'kafka', brokers: kafka, topic: topics.secured },
    deadLetters: { kind: 'kafka', brokers: kafka, topic: topics.deadLetter },
    sources: { brokers: kafka, groupId: env['KAFKA_GROUP_ID'] ?? '', topics: [topics.updated] },
    keys: [key],
  };
  const worker = startWorker(world);
  await waitFor(async () => (await settledInbox(input)) === 0, {
    what: 'everything settled',
    timeoutMs: 90_000,
    intervalMs: 500,
  });
  await worker.stop();
  return { ...input, logs: { 'the worker’s output': worker.stdout() + worker.stderr() } };
}

/** Before the first event there is nothing unsettled either. */
async function settledInbox(input: CheckInput): Promise<number> {
  try {
    return (await unsettled(input)).length;
  } catch {
    return Infinity; // the tables are not there yet
  }
}

const kindsOf = async (input: CheckInput): Promise<string[]> =>
  (await checkInvariants(input)).map(({ invariant, kind }) => `${invariant} ${kind}`);

describeWith(['kafka', 'postgres'], 'the checker: Kafka, PostgreSQL, AWS Secrets Manager', ({ kafka }) => {
  let input: CheckInput;
  let url: string;
  beforeAll(async () => {
    const standin = await startAwsStandin();
    ({ url } = standin);
    input = await run(kafka, {
      engine: 'postgres',
      manager: 'managed-aws',
      endpoint: url,
      store: { kind: 'standin', url },
      prefix: '',
    });
    return () => standin.close();
  });

  it('finds nothing on healthy data', async () => {
    expect(await checkInvariants(input)).toEqual([]);
  });

  it('reads the same through AWS’s own client', async () => {
    const store = { kind: 'aws', service: 'secretsmanager', endpoint: url } as const;
    expect(await checkInvariants({ ...input, stores: { 'managed-aws': store } })).toEqual([]);
  });

  it('(2) offset-behind: records that nobody read', async () => {
    const topic = input.sources!.topics[0]!;
    await produce(topic, [{ key: 'soft', value: null }], { brokers: kafka });
    expect(await kindsOf(input)).toEqual(['2 offset-behind']);
    input = { ...input, sources: { ...input.sources!, topics: [] } };
  });

  it('(3) topic-last, record-key, topic-partitions: an old record comes again, under another key, elsewhere', async () => {
    const secured = input.secured.kind === 'kafka' ? input.secured.topic : '';
    const records = await readAll(secured, { brokers: kafka });
    const first = records.find(({ key }) => key === 'changed')!;
    const again = { ...first, value: first.value!.toString('utf8'), partition: (first.partition + 1) % 3 };
    await produce(secured, [{ ...again, key: 'other' }], { brokers: kafka });
    const kinds = await kindsOf(input);
    expect(kinds).toEqual(expect.arrayContaining(['3 record-key', '3 topic-partitions']));
    await produce(secured, [{ ...again, partition: first.partition }], { brokers: kafka });
    await produce(secured, [again], { brokers: kafka });
    expect(await kindsOf(input)).toContain('3 topic-last');
  });

  it('(1) value-differs: somebody changed a value, or took it away', async () => {
    const client = new SecretsManagerClient({
      endpoint: url,
      region: AWS_REGION,
      credentials: AWS_CREDENTIALS,
    });
    const SecretId = '/openmetadata/database/service_changed/password';
    await client.send(new PutSecretValueCommand({ SecretId, SecretString: 'somebody-elses' }));
    client.destroy();
    expect(await kindsOf(input)).toEqual(expect.arrayContaining(['1 value-differs', '1 stored-version']));
  });

  it('(5) secret-unknown: a row is gone', async () => {
    await queryDatabase({ url: input.databaseUrl }, `DELETE FROM stored_secret WHERE connection_id = 'soft'`);
    expect(await kindsOf(input)).toContain('5 secret-unknown');
  });
});

describeWith(
  ['kafka', 'mariadb', 'moto'],
  'the checker: Kafka, MariaDB, AWS SSM in moto',
  ({ kafka, moto }) => {
    it('finds nothing on healthy data, and a parameter of another value', async () => {
      const prefix = freshName('checker');
      const store = { kind: 'aws', service: 'ssm', endpoint: moto, prefix: `/${prefix}/` } as const;
      const input = await run(kafka, {
        engine: 'mariadb',
        manager: 'managed-aws-ssm',
        endpoint: moto,
        store,
        prefix,
      });
      expect(await checkInvariants(input)).toEqual([]);
      await queryDatabase(
        { url: input.databaseUrl },
        `UPDATE stored_secret SET version = '99' WHERE state = 'live'`,
      );
      expect(await kindsOf(input)).toContain('1 stored-version');
    });
  },
);
