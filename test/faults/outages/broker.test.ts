import { beforeAll, expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWithOwn,
  disposeLater,
  freshName,
  startKafka,
  untilDown,
  untilReady,
  type PartHandle,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { Calm, PATIENCE_MS, Rig, secretIdOf } from './rig.js';

describeWithOwn(['kafka'], 'the broker fails', () => {
  let broker: PartHandle;
  let standin: AwsStandin;
  let rig: Rig;

  beforeAll(async () => {
    broker = await startKafka();
    standin = await startAwsStandin();
    disposeLater(() => standin.close());
    const { url } = await createDatabase('sqlite');
    const { env } = awsClients(standin.url);
    rig = await Rig.open({ brokers: broker.address, databaseUrl: url, manager: 'managed-aws', env });
    await rig.startReady();
  });

  it('is down and comes back: not ready, says so, few lines, no busy loop; then goes on', async () => {
    await rig.publish('before');
    await rig.applied('before');
    const calm = await Calm.since(rig);
    await broker.kill();
    await untilDown(rig.url, 'broker', 'BROKER_UNAVAILABLE');
    await untilDown(rig.url, 'consumer', 'BROKER_UNAVAILABLE');
    // kafkajs's own warnings, each kind once in half a minute, and ours.
    await calm.expectCalm(25);
    await broker.start();
    await rig.publish('before');
    await rig.applied('before', 2 * PATIENCE_MS);
    await untilReady(rig.url, PATIENCE_MS);
  });

  it('is killed between a commit and its publish: the relay sends it, nothing is lost', async () => {
    const name = freshName('unsent');
    standin.fault({ kind: 'slow-answer', delayMs: 900, secretId: secretIdOf(name) });
    const password = await rig.publish(name);
    await rig.worker.waitForLine(() => standin.calls.some(({ ids }) => ids.includes(secretIdOf(name))));
    await broker.kill();
    // Committed, and not to be published.
    await rig.applied(name);
    expect(await rig.query('SELECT id FROM outbox WHERE sent_at_ms IS NULL')).toHaveLength(1);
    const more = freshName('later');
    await broker.start();
    await rig.publish(more, { partition: 1 });
    await rig.applied(more, 2 * PATIENCE_MS);
    expect(standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value).toBe(password);
  });

  it('has lost nothing over all of that, in one process', async () => {
    await untilReady(rig.url, PATIENCE_MS);
    await rig.expectInvariants(standin.url, [rig.worker]);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });
});
