import { expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  endOffsets,
  committedOffsets,
  queryDatabase,
  readAll,
  waitFor,
  UNSENT,
} from '../harness/index.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import { createWorld, publish, securedData, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

/** `npm run test:many-events` has the full size: 10,000 events over 1,000 connections. */
const EVENTS = Number(process.env.TEST_MANY_EVENTS ?? 4_000);
const CONNECTIONS = EVENTS / 10;
const BASE_MS = 1_790_000_000_000;

/** A small generator of our own, so that a failing order can be had again. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Published {
  readonly topic: string;
  readonly event: ReturnType<typeof serviceEvent>;
}

/** Events of random connections; texts, masks and repeated texts. The first of each connection is a `created`. */
function eventsOf(
  world: World,
  random: () => number,
): { published: Published[]; newest: Map<string, string> } {
  const newest = new Map<string, string>();
  const versions = new Map<string, number>();
  const published: Published[] = [];
  for (let index = 0; index < EVENTS; index += 1) {
    const number = index < CONNECTIONS ? index : Math.floor(random() * CONNECTIONS);
    const id = `connection-${number}`;
    const version = (versions.get(id) ?? 0) + 1;
    versions.set(id, version);
    const isMask = version > 1 && random() < 0.5;
    const password = isMask ? '*********' : `value-${number}-${version}`;
    if (!isMask) newest.set(id, password);
    const eventType = version === 1 ? 'entityCreated' : 'entityUpdated';
    published.push({
      topic: version === 1 ? world.topics.created : world.topics.updated,
      event: serviceEvent({
        id,
        name: `service-${number}`,
        password,
        timestampMs: BASE_MS + index,
        version,
        eventType,
      }),
    });
  }
  return { published, newest };
}

async function publishAll(published: readonly Published[], brokers: string): Promise<void> {
  for (let start = 0; start < published.length; start += 500) {
    const chunk = published.slice(start, start + 500);
    for (const topic of new Set(chunk.map((one) => one.topic))) {
      const events = chunk.filter((one) => one.topic === topic).map(({ event }) => event);
      await publish(topic, events, brokers);
    }
  }
}

async function isDrained(world: World, brokers: string): Promise<boolean> {
  for (const topic of [world.topics.created, world.topics.updated]) {
    const ends = await endOffsets(topic, { brokers });
    const committed = await committedOffsets(world.env['KAFKA_GROUP_ID'] ?? '', topic, { brokers });
    for (const [partition, end] of ends) if (end > 0 && (committed.get(partition) ?? 0) < end) return false;
  }
  return true;
}

describeWith(['kafka', 'postgres'], `${EVENTS} events over ${CONNECTIONS} connections`, ({ kafka }) => {
  it('two workers, stopped and started in between: all three places agree on the newest version', async () => {
    const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
    console.log(`seed ${seed} (TEST_SEED)`);
    const standin = await startAwsStandin();
    const database = await createDatabase('postgres');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: database.url,
      manager: 'managed-aws',
      partitions: 6,
      env: { ...awsClients(standin.url).env, SECRET_MANAGER_WRITES_PER_SECOND: '10000', LOG_LEVEL: 'warn' },
    });
    const { published, newest } = eventsOf(world, randomFrom(seed));
    const first = startWorker(world);
    const second = startWorker(world);
    const publishing = publishAll(published, kafka);

    await waitFor(async () => (await appliedCount(database)) > EVENTS / 5, {
      what: 'a fifth applied',
      timeoutMs: 120_000,
    });
    expect((await first.stop()).code).toBe(0);
    await waitFor(async () => (await appliedCount(database)) > EVENTS / 2, {
      what: 'half applied',
      timeoutMs: 120_000,
    });
    second.kill('SIGKILL');
    await second.waitForExit();
    const third = startWorker(world);
    const fourth = startWorker(world);
    await publishing;
    await waitFor(() => isDrained(world, kafka), {
      what: 'all offsets committed',
      timeoutMs: 240_000,
      intervalMs: 500,
    });
    await waitFor(async () => (await unfinished(database)) === 0, {
      what: 'nothing unsent or waiting',
      timeoutMs: 60_000,
    });
    expect((await third.stop()).code).toBe(0);
    expect((await fourth.stop()).code).toBe(0);

    const outcomes = await queryDatabase(
      database,
      'SELECT outcome, COUNT(*) AS n FROM inbox GROUP BY outcome',
    );
    const total = outcomes.reduce((sum, row) => sum + Number(row['n']), 0);
    expect(total).toBe(EVENTS);
    expect(
      outcomes
        .map((row) => row['outcome'])
        .filter((outcome) => !['applied', 'stale'].includes(String(outcome))),
    ).toEqual([]);

    const lastSecured = new Map(
      (await readAll(world.topics.secured, { brokers: kafka })).map((record) => [
        record.key,
        securedData(record),
      ]),
    );
    const rows = await queryDatabase(database, 'SELECT id, revision, version FROM connection');
    expect(rows).toHaveLength(CONNECTIONS);
    const wrong = rows.filter((row) => {
      const secured = lastSecured.get(String(row['id']));
      return secured?.revision !== Number(row['revision']) || secured.version !== Number(row['version']);
    });
    expect(wrong).toEqual([]);
    const stored = new Map(standin.secrets().map((secret) => [secret.secretId, secret.value]));
    for (const [id, password] of newest)
      expect(stored.get(`/openmetadata/database/service-${id.slice('connection-'.length)}/password`)).toBe(
        password,
      );
    expect(stored.size).toBe(CONNECTIONS);
  }, 600_000);
});

async function appliedCount(database: { url: string }): Promise<number> {
  const tables = await queryDatabase(
    database,
    `SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_name = 'inbox'`,
  );
  if (Number(tables[0]?.['n']) === 0) return 0;
  return Number((await queryDatabase(database, 'SELECT COUNT(*) AS n FROM inbox'))[0]?.['n']);
}

async function unfinished(database: { url: string }): Promise<number> {
  const unsent = await queryDatabase(database, UNSENT);
  const kept = await queryDatabase(database, 'SELECT COUNT(*) AS n FROM dead_letter');
  return unsent.length + Number(kept[0]?.['n']);
}
