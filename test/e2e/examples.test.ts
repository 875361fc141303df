import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  AWS_REGION,
  awsClients,
  createDatabase,
  describeWith,
  docBlock,
  freshName,
  PROJECT_DIR,
  queryDatabase,
  readAll,
  runBlock,
  startBlock,
  tmpDir,
} from '../harness/index.js';
import { createWorld, startWorker } from './fixture.js';

describeWith(['kafka', 'moto', 'postgres'], 'the examples, as the pages say', ({ kafka, moto }) => {
  it('log into a PostgreSQL with a password that is only in the store, and again after a change', async () => {
    const clients = awsClients(moto);
    const database = await createDatabase('postgres');
    const server = new URL(database.url);
    const role = freshName('role').replace('-', '_');
    const [first, second] = [1, 2].map((at) => `pass'word-${at}-${randomBytes(6).toString('hex')}`);
    const setPassword = async (verb: string, password: string) =>
      queryDatabase(database, `${verb} ROLE ${role} LOGIN PASSWORD '${password.replaceAll("'", "''")}'`);
    await setPassword('CREATE', first!);

    const sealingKey = randomBytes(32).toString('base64');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: `sqlite:${join(tmpDir('examples'), 'worker.sqlite')}`,
      manager: 'managed-aws',
      env: {
        ...clients.env,
        OPENMETADATA_CLUSTER_NAME: freshName('cl').toLowerCase(),
        PUBLISHER_FERNET_KEY: sealingKey,
      },
    });
    const { TOPIC_CREATED, TOPIC_UPDATED, TOPIC_DELETED, TOPIC_SECURED } = world.env as Record<
      string,
      string
    >;
    const topics = {
      TOPIC_CREATED: TOPIC_CREATED!,
      TOPIC_UPDATED: TOPIC_UPDATED!,
      TOPIC_DELETED: TOPIC_DELETED!,
    };
    const worker = startWorker(world);
    const name = freshName('sales');
    const file = join(tmpDir('entity'), 'postgres.json');
    const writeEntity = (password: string, version: number): void => {
      const path = join(PROJECT_DIR, 'examples', 'publisher', 'postgres.json');
      const entity = JSON.parse(readFileSync(path, 'utf8')) as { connection: { config: object } };
      const config = {
        ...entity.connection.config,
        ...{
          username: role,
          authType: { password },
          hostPort: server.host,
          database: server.pathname.slice(1),
        },
      };
      writeFileSync(file, JSON.stringify({ ...entity, id: name, name, version, connection: { config } }));
    };
    const publish = async (eventType: string): Promise<string> => {
      const { code, stdout, stderr } = await runBlock(docBlock('docs/publishing.md', 'sh', 'publish.mjs'), {
        values: {
          '127.0.0.1:9092': kafka,
          '$(npx connection-secrets generate-key)': `'${sealingKey}'`,
          'entityCreated examples/publisher/postgres.json': `${eventType} ${file}`,
        },
        env: topics,
      });
      expect(stderr).toBe('');
      expect(code).toBe(0);
      return stdout;
    };

    const ingestion = startBlock(docBlock('docs/ingestion.md', 'sh', 'worker.mjs'), {
      values: { '127.0.0.1:9092': kafka, 'eu-west-1': AWS_REGION },
      env: { ...clients.env, TOPIC_SECURED: TOPIC_SECURED!, KAFKA_GROUP_ID: freshName('ingestion') },
    });
    await ingestion.waitForLine('waiting for connections');
    writeEntity(first!, 0.1);
    expect(await publish('entityCreated')).toContain('sealed: /connection/config/authType/password');
    await ingestion.waitForLine(`${name} revision 1: logged in as ${role}`, { timeoutMs: 60_000 });

    await setPassword('ALTER', second!);
    writeEntity(second!, 0.2);
    await publish('entityUpdated');
    await ingestion.waitForLine(`${name} revision 2: logged in as ${role}`, { timeoutMs: 30_000 });

    writeEntity(`secret:/${freshName('team')}/password`, 0.3);
    await publish('entityUpdated');
    await ingestion.waitForLine(`${name} revision 3: skipped, SECRET_NOT_FOUND`, { timeoutMs: 30_000 });

    await publish('entityDeleted');
    await ingestion.waitForLine(`${name} revision 4: disconnected`, { timeoutMs: 30_000 });
    expect((await ingestion.stop()).code).toBe(0);
    await worker.stop();

    const records = await Promise.all(
      Object.values(world.topics).map((topic) => readAll(topic, { brokers: kafka })),
    );
    const texts = [
      ...records.flat().map(({ value }) => value?.toString() ?? ''),
      ...[ingestion, worker].map((process) => process.stdout() + process.stderr()),
    ];
    expect(records.flat()).toHaveLength(8);
    for (const password of [first!, second!])
      expect(texts.filter((text) => text.includes(password))).toEqual([]);
  });
});
