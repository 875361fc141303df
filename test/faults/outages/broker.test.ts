import { setTimeout as delay } from 'node:timers/promises';
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
  waitFor,
  type PartHandle,
  UNSENT,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { Calm, PATIENCE_MS, Rig, secretIdOf } from './rig.js';

const PARTITIONS = 2;
const NAMES_A_PARTITION = 4;

/** Between two events of a partition: half of what the worker's limit of store writes lets through, in all. */
const PAUSE_MS = 200;

/** Events of a few connections on each partition at a steady rate, until told to end. */
class SteadyLoad {
  readonly names: readonly string[] = Array.from({ length: PARTITIONS * NAMES_A_PARTITION }, () =>
    freshName('steady'),
  );
  readonly #rig: Rig;
  readonly #flows: Promise<unknown>;
  #sent = 0;
  #ended = false;

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#flows = Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => this.#flow(partition)));
    this.#flows.catch(() => undefined);
  }

  async sentMore(count: number): Promise<void> {
    const before = this.#sent;
    await waitFor(() => this.#sent >= before + count, {
      what: `${count} more events at the broker`,
      timeoutMs: 2 * PATIENCE_MS,
    });
  }

  /** Fails with what a publisher failed with. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#flows;
  }

  async #flow(partition: number): Promise<void> {
    const names = this.names.filter((_, at) => at % PARTITIONS === partition);
    for (let at = 0; !this.#ended; at += 1) {
      await this.#rig.publish(names[at % names.length]!, { partition });
      this.#sent += 1;
      await delay(PAUSE_MS);
    }
  }
}

async function appliedMore(rig: Rig, count: number): Promise<void> {
  const applied = async (): Promise<number> =>
    (await rig.query(`SELECT event_hash FROM inbox WHERE outcome = 'applied'`)).length;
  const before = await applied();
  await waitFor(async () => (await applied()) >= before + count, {
    what: `${count} more applied events`,
    timeoutMs: 2 * PATIENCE_MS,
  });
}

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
    expect(await rig.query(UNSENT)).toHaveLength(1);
    const more = freshName('later');
    await broker.start();
    await rig.publish(more, { partition: 1 });
    await rig.applied(more, 2 * PATIENCE_MS);
    expect(standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value).toBe(password);
  });

  it('is restarted, in an orderly way and by SIGKILL, under a steady load: every event has one outcome', async () => {
    const load = new SteadyLoad(rig);
    for (const how of ['stop', 'kill'] as const) {
      await appliedMore(rig, 10);
      await broker[how]();
      await untilDown(rig.url, 'broker', 'BROKER_UNAVAILABLE');
      await broker.start();
      // Both partitions, in the same process: it is not only that what lay there before is worked off.
      await load.sentMore(20);
      await appliedMore(rig, 10);
    }
    await load.end();
    for (const name of load.names) await rig.applied(name, 2 * PATIENCE_MS);
  });

  it('has lost nothing over all of that, in one process', async () => {
    await untilReady(rig.url, PATIENCE_MS);
    await rig.expectInvariants(standin.url, [rig.worker]);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });
});
