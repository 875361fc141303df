import { expect, it } from 'vitest';
import { generateKey, isSealed } from '../../src/fernet/index.js';
import {
  awsClients,
  createTopics,
  describeWith,
  docBlock,
  freshName,
  jsonOf,
  readAll,
  startModule,
} from '../harness/index.js';
import { eventOf, publishSecured, putSecret } from '../integration/ingestion/support.js';
import { mysqlChange } from '../unit/publisher/support.js';

describeWith(['kafka', 'moto'], 'the code of the pages about the libraries', ({ kafka, moto }) => {
  it('of ingestion.md connects with the value, and disconnects what is deleted', async () => {
    const clients = awsClients(moto);
    const topic = freshName('secured');
    await createTopics([topic], { brokers: kafka });
    const name = `/${freshName('docs')}/password`;
    await putSecret(clients, name, 'the-hidden-value');
    const deletion = { operation: 'deleted', entity: null, secretFields: [] } as const;
    await publishSecured(topic, [eventOf('one', 1, name), eventOf('one', 2, name, deletion)], kafka);
    const before = `
      let tell;
      const told = new Promise((resolve) => (tell = resolve));
      const connect = async ({ password }) => console.log('connected', password === 'the-hidden-value');
      const disconnect = (id) => tell(console.log('disconnected', id));
    `;
    const program = startModule(docBlock('docs/ingestion.md', 'ts', 'subscribeSecured'), before, {
      values: { 'await subscription.stop();': 'await told;\nawait subscription.stop();' },
      env: { ...clients.env, ...{ KAFKA_BROKERS: kafka, KAFKA_GROUP_ID: topic, TOPIC_SECURED: topic } },
    });
    const { code } = await program.waitForExit(60_000);
    expect(code, program.stderr()).toBe(0);
    expect(program.stdout()).toBe('connected true\ndisconnected one\n');
  });

  it('of publishing.md publishes a change, sealed', async () => {
    const name = freshName('docs');
    const topics = { TOPIC_CREATED: `${name}.c`, TOPIC_UPDATED: `${name}.u`, TOPIC_DELETED: `${name}.d` };
    await createTopics(Object.values(topics), { brokers: kafka });
    const { entity } = mysqlChange({ password: 'the-hidden-value' });
    const before = `
      const entity = ${JSON.stringify(entity)};
      const change = { time: 1_700_000_000_000, id: 'change-17' };
    `;
    const program = startModule(docBlock('docs/publishing.md', 'ts', 'createPublisher'), before, {
      env: { KAFKA_BROKERS: kafka, PUBLISHER_FERNET_KEY: generateKey(), ...topics },
    });
    const { code } = await program.waitForExit(60_000);
    expect(code, program.stderr()).toBe(0);
    const records = await readAll(topics.TOPIC_UPDATED, { brokers: kafka });
    expect(records).toHaveLength(1);
    const { data } = jsonOf(records[0]!) as {
      data: { id: string; timestamp: number; entity: { connection: { config: { password: string } } } };
    };
    expect(data).toMatchObject({ id: 'change-17', timestamp: 1_700_000_000_000 });
    expect(isSealed(data.entity.connection.config.password)).toBe(true);
  });
});
