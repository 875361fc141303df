import { expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  produce,
  queryDatabase,
  waitFor,
  type TestProcess,
} from '../../harness/index.js';
import { serviceEvent, startWorker } from '../../e2e/fixture.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { PATIENCE_MS, Rig } from '../outages/rig.js';

const CONNECTIONS = 40;
const EVENTS = 480;
/** Members come and go this often while the events flow. */
const CHANGES = 6;
const MOST_WORKERS = 3;
const PARTITIONS = 4;
const BASE_MS = 1_790_000_000_000;

/** A small generator of our own, so that a failing order can be had again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Each connection is created, updated and, every fourth, deleted at the end: each event on a partition of its own. */
function historyOf(): ReturnType<typeof serviceEvent>[] {
  const versions = EVENTS / CONNECTIONS;
  return Array.from({ length: EVENTS }, (_, at) => {
    const connection = at % CONNECTIONS;
    const version = Math.floor(at / CONNECTIONS) + 1;
    const isLast = version === versions && connection % 4 === 0;
    return serviceEvent({
      id: `connection-${connection}`,
      name: `service-${connection}`,
      password: `value-${connection}-version-${version}`,
      timestampMs: BASE_MS + at,
      version,
      eventType: version === 1 ? 'entityCreated' : isLast ? 'entityDeleted' : 'entityUpdated',
    });
  });
}

/** Which one, the seed says: the same history on both would take twice as long. */
const ENGINES = ['postgres', 'mariadb'] as const;

describeWith(['kafka', 'postgres', 'mariadb'], 'workers that come and go', ({ kafka }) => {
  it('joining, leaving and dying while created, updated and deleted events flow over all partitions', async () => {
    const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
    const engine = ENGINES[seed % ENGINES.length]!;
    console.log(`seed ${seed} (TEST_SEED), ${engine}`);
    const random = randomFrom(seed);
    const standin = await startAwsStandin();
    disposeLater(() => standin.close());
    standin.configure({ latencyMs: 15 });
    const { url } = await createDatabase(engine);
    const { env } = awsClients(standin.url);
    const rig = await Rig.open({
      ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws', partitions: PARTITIONS },
      env: { ...env, SECRET_MANAGER_WRITES_PER_SECOND: '10000', WORKER_CONCURRENCY: '8' },
    });
    await rig.startReady();
    const all: TestProcess[] = [rig.worker];
    let running: TestProcess[] = [rig.worker];
    const join = (): void => {
      const worker = startWorker(rig.world);
      all.push(worker);
      running.push(worker);
    };
    join();

    const events = historyOf();
    rig.note(events);
    const { topics } = rig.world;
    const topicOf = {
      entityCreated: topics.created,
      entityUpdated: topics.updated,
      entityDeleted: topics.deleted,
    };
    for (const [eventType, topic] of Object.entries(topicOf)) {
      const records = events
        .filter((event) => event.eventType === eventType)
        .map((event) => ({
          key: event.entityId,
          value: JSON.stringify(event),
          partition: random(PARTITIONS),
        }));
      await produce(topic, records, { brokers: kafka });
    }

    const settledCount = async (): Promise<number> =>
      Number((await queryDatabase({ url }, 'SELECT COUNT(*) AS n FROM inbox'))[0]?.['n']);
    for (let change = 1; change <= CHANGES; change += 1) {
      await waitFor(async () => (await settledCount()) >= (EVENTS * change) / (CHANGES + 2), {
        what: `progress before change ${change}`,
        timeoutMs: 3 * PATIENCE_MS,
      });
      const leaving = running[random(running.length)]!;
      const how = running.length === 1 ? 'join' : (['join', 'leave', 'die'] as const)[random(3)]!;
      if (how === 'join' || running.length === 1) {
        if (running.length < MOST_WORKERS) join();
        continue;
      }
      running = running.filter((worker) => worker !== leaving);
      if (how === 'leave') process.kill(leaving.pid, 'SIGTERM');
      else leaving.kill('SIGKILL');
      join();
    }
    await waitFor(async () => (await settledCount()) === EVENTS, {
      what: 'an outcome of every event',
      timeoutMs: 4 * PATIENCE_MS,
    });
    await rig.expectInvariants(standin.url, all);
    for (const worker of running) {
      // The last to come may have had nothing to do: before it is started nothing handles a SIGTERM.
      await worker.waitForLine('"msg":"started"');
      expect((await worker.stop(PATIENCE_MS)).code).toBe(0);
    }
    const outcomes = await queryDatabase({ url }, 'SELECT DISTINCT outcome FROM inbox');
    const others = outcomes.filter(({ outcome }) => !['applied', 'stale'].includes(String(outcome)));
    expect(others).toEqual([]);
  }, 600_000);
});
