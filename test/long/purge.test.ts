import { expect, it } from 'vitest';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  offsetRanges,
  queryDatabase,
  readAll,
  waitFor,
  type TestProcess,
} from '../harness/index.js';
import { createWorld, publish, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

const CONNECTIONS = 60;
const ROUND_EVENTS = 160;
const BACKLOG_ROUNDS = 3;
const BASE_MS = 1_790_000_000_000;
const LONG = { timeoutMs: 90_000, intervalMs: 500 };

const valueOf = (id: string, version: number): string => `value-of-${id}-${version}`;

/** Of all source partitions. */
async function rangesOf({ topics }: World, brokers: string): Promise<{ low: number; high: number }[]> {
  const all = await Promise.all(
    [topics.created, topics.updated].map((topic) => offsetRanges(topic, brokers)),
  );
  return all.flatMap((ranges) => [...ranges.values()]);
}

describeWith(['kafka', 'postgres'], 'PURGE_SOURCE=secured with two workers', ({ kafka: brokers }) => {
  it('one stopped and continued, one killed: all events are handled, and then none is left in the topics', async () => {
    const standin = await startAwsStandin();
    disposeLater(() => standin.close());
    const database = await createDatabase('postgres');
    const world = await createWorld({
      brokers,
      databaseUrl: database.url,
      manager: 'managed-aws',
      env: {
        ...awsClients(standin.url).env,
        PURGE_SOURCE: 'secured',
        // There is always something behind the committed offsets that must not go.
        SECRET_MANAGER_WRITES_PER_SECOND: '12',
      },
    });
    const newest = new Map<string, number>();
    let published = 0;
    const publishRound = async (): Promise<void> => {
      const events = Array.from({ length: ROUND_EVENTS }, (_, index) => {
        const id = `connection-${(index * 7) % CONNECTIONS}`;
        const version = (newest.get(id) ?? 0) + 1;
        newest.set(id, version);
        published += 1;
        return serviceEvent({
          id,
          name: id,
          password: valueOf(id, version),
          timestampMs: BASE_MS + published,
          version,
          eventType: version === 1 ? 'entityCreated' : 'entityUpdated',
        });
      });
      const isFirst = (event: (typeof events)[number]): boolean => event.eventType === 'entityCreated';
      await publish(world.topics.created, events.filter(isFirst), brokers);
      await publish(
        world.topics.updated,
        events.filter((event) => !isFirst(event)),
        brokers,
      );
    };
    const purgedBelow = async (share: number): Promise<boolean> => {
      const ranges = await rangesOf(world, brokers);
      return ranges.reduce((sum, { low }) => sum + low, 0) >= share * published;
    };

    for (let round = 0; round < BACKLOG_ROUNDS; round += 1) await publishRound();
    const [one, two] = [startWorker(world), startWorker(world)];
    await waitFor(() => purgedBelow(0.1), { what: 'the first purge', ...LONG });
    one.suspend();
    await waitFor(() => purgedBelow(0.4), { what: 'the other one to purge for both', ...LONG });
    one.resume();
    two.kill('SIGKILL');
    await two.waitForExit();
    const three = startWorker(world);
    await publishRound();
    await waitFor(async () => (await rangesOf(world, brokers)).every(({ low, high }) => low === high), {
      what: 'all source records to be deleted',
      ...LONG,
    });

    for (const topic of [world.topics.created, world.topics.updated])
      expect(await readAll(topic, { brokers })).toEqual([]);
    const [{ n } = {}] = await queryDatabase(database, 'SELECT COUNT(*) AS n FROM inbox');
    expect(Number(n)).toBe(published);
    const stored = standin.secrets().map(({ secretId, value }) => [secretId, value] as const);
    const expected = [...newest].map(
      ([id, version]) => [`/openmetadata/database/${id}/password`, valueOf(id, version)] as const,
    );
    expect(new Map(stored)).toEqual(new Map(expected));
    await stopped(one, three);
  }, 400_000);
});

async function stopped(...workers: readonly TestProcess[]): Promise<void> {
  for (const worker of workers) {
    expect((await worker.stop()).code).toBe(0);
    expect(worker.stdout() + worker.stderr()).not.toContain('value-of-');
  }
}
