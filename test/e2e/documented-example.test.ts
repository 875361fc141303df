import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import fernet from 'fernet';
import { expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  freshName,
  queryDatabase,
  type AwsClients,
  type DatabaseEngine,
} from '../harness/index.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import { createWorld, publish, securedEvents, serviceEvent, startWorker } from './fixture.js';

const PASSWORD = 's3cr3t-pa55-of-the-documented-example';
const ID = '/openmetadata/database/mysql-test/password';
const CONNECTION = '11111111-0000-4000-8000-000000000001';

/** Opens a token with the field's own library: nothing of ours takes part. */
function openWithFernet(token: string, key: string): string {
  return new fernet.Token({ secret: new fernet.Secret(key), token, ttl: 0 }).decode();
}

async function readSecret(aws: AwsClients, manager: string, id: string): Promise<string | undefined> {
  if (manager === 'managed-aws-ssm') {
    const { Parameter } = await aws.ssm.send(new GetParameterCommand({ Name: id, WithDecryption: true }));
    return Parameter?.Value;
  }
  return (await aws.secretsManager.send(new GetSecretValueCommand({ SecretId: id }))).SecretString;
}

describeWith(['kafka', 'postgres', 'mariadb', 'moto'], 'the documented example over Kafka', ({ kafka }) => {
  const combinations: [string, DatabaseEngine][] = [
    ['managed-aws', 'postgres'],
    ['managed-aws-ssm', 'mariadb'],
    ['managed-aws-ssm', 'postgres'],
    ['managed-aws', 'mariadb'],
    ['managed-aws', 'sqlite'],
  ];

  it.each(combinations)(
    '%s and %s: id in the store, token in the row, reference in the event',
    async (manager, engine) => {
      const aws = awsClients();
      const database = await createDatabase(engine);
      const cluster = freshName('cluster').toLowerCase();
      const id = ID.replace('openmetadata', cluster);
      const world = await createWorld({
        brokers: kafka,
        databaseUrl: database.url,
        manager,
        env: { ...aws.env, OPENMETADATA_CLUSTER_NAME: cluster },
      });
      const worker = startWorker(world);
      const event = serviceEvent({
        id: CONNECTION,
        name: 'mysql-test',
        password: PASSWORD,
        timestampMs: 1_790_000_000_000,
      });
      await publish(world.topics.created, [event], kafka);

      const [secured] = await securedEvents(world, 1, kafka);
      expect(secured?.entity).toMatchObject({ connection: { config: { password: `secret:${id}` } } });
      expect(secured?.secretFields).toEqual([
        { path: '/connection/config/password', reference: `secret:${id}`, owned: true },
      ]);
      expect(await readSecret(aws, manager, id)).toBe(PASSWORD);

      const rows = await queryDatabase(database, 'SELECT sealed FROM secret_reference');
      expect(rows).toHaveLength(1);
      const sealed = String(rows[0]?.['sealed']);
      expect(sealed).toMatch(/^fernet:gAAAA/);
      expect(openWithFernet(sealed.slice('fernet:'.length), world.key)).toBe(`secret:${id}`);
      expect((await worker.stop()).code).toBe(0);
    },
  );

  it('db: the value is a Fernet token in the database and in the event, in clear nowhere', async () => {
    const database = await createDatabase('postgres');
    const world = await createWorld({ brokers: kafka, databaseUrl: database.url, manager: 'db' });
    const worker = startWorker(world);
    const event = serviceEvent({
      id: CONNECTION,
      name: 'mysql-test',
      password: PASSWORD,
      timestampMs: 1_790_000_000_000,
    });
    await publish(world.topics.created, [event], kafka);

    const [secured] = await securedEvents(world, 1, kafka);
    const config = (secured?.entity as { connection: { config: { password: string } } }).connection.config;
    expect(openWithFernet(config.password.replace(/^fernet:/, ''), world.key)).toBe(PASSWORD);
    const rows = await queryDatabase(database, 'SELECT sealed FROM secret_reference');
    expect(openWithFernet(String(rows[0]?.['sealed']).replace(/^fernet:/, ''), world.key)).toBe(PASSWORD);
    expect(JSON.stringify(secured)).not.toContain(PASSWORD);
    await worker.stop();
  });

  it('aws (non-managed): references stay, other values are tokens, the store sees no call', async () => {
    const standin = await startAwsStandin();
    const database = await createDatabase('sqlite');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: database.url,
      manager: 'aws',
      env: awsClients(standin.url).env,
    });
    const worker = startWorker(world);
    const at = 1_790_000_000_000;
    await publish(
      world.topics.created,
      [
        serviceEvent({
          id: 'vaulted',
          name: 'vaulted',
          password: 'secret:/team-a/mysql/password',
          timestampMs: at,
        }),
        serviceEvent({ id: 'plain', name: 'plain', password: PASSWORD, timestampMs: at }),
      ],
      kafka,
    );
    const byId = new Map((await securedEvents(world, 2, kafka)).map((event) => [event.connectionId, event]));
    expect(byId.get('vaulted')?.secretFields).toEqual([
      { path: '/connection/config/password', reference: 'secret:/team-a/mysql/password', owned: false },
    ]);
    const token = byId.get('plain')?.secretFields[0]?.reference ?? '';
    expect(openWithFernet(token.replace(/^fernet:/, ''), world.key)).toBe(PASSWORD);
    expect(standin.calls).toEqual([]);
    await worker.stop();
    await standin.close();
  });
});
