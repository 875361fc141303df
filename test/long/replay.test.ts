import { expect, it } from 'vitest';
import {
  awsClients,
  committedOffsets,
  createDatabase,
  describeWith,
  endOffsets,
  queryDatabase,
  readAll,
  runCli,
  waitFor,
  type TestDatabase,
  UNSENT,
} from '../harness/index.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import type { SecuredEvent } from '../../src/terms.js';
import {
  createWorld,
  publish,
  securedData,
  serviceEvent,
  startWorker,
  takeOver,
  type World,
} from '../e2e/fixture.js';

/** `npm run test:replay` has the full size: 50,000 events over 5,000 connections. */
const EVENTS = Number(process.env.TEST_REPLAY_EVENTS ?? 1_000);
const CONNECTIONS = Math.max(1, Math.floor(EVENTS / 10));
const BASE_MS = 1_790_000_000_000;
/** Under load of other tests, per event. */
const MS_AN_EVENT = 40;
const TIMEOUT_MS = 240_000 + EVENTS * MS_AN_EVENT;

type Event = ReturnType<typeof serviceEvent>;
type Topic = 'created' | 'updated' | 'deleted';

/** Texts, masks, repeated texts, renames and deletions; the first event of each connection is a `created`. */
function eventsOf(): { topic: Topic; event: Event }[] {
  return Array.from({ length: EVENTS }, (_, index) => {
    const number = index % CONNECTIONS;
    const version = Math.floor(index / CONNECTIONS) + 1;
    const isLast = index + CONNECTIONS >= EVENTS;
    const isMask = version > 1 && (number + version) % 3 === 0;
    const isRenamed = version > 4 && number % 7 === 0;
    const eventType =
      version === 1 ? 'entityCreated' : isLast && number % 20 === 0 ? 'entityDeleted' : 'entityUpdated';
    const topic = { entityCreated: 'created', entityUpdated: 'updated', entityDeleted: 'deleted' } as const;
    return {
      topic: topic[eventType],
      event: serviceEvent({
        id: `connection-${number}`,
        name: `service-${number}${isRenamed ? '-renamed' : ''}`,
        password: isMask ? '*********' : `value-${number}-${Math.floor(version / 2)}`,
        timestampMs: BASE_MS + index,
        version,
        eventType,
        hostPort: `mysql-${version}.internal:3306`,
      }),
    };
  });
}

async function publishAll(world: World, brokers: string): Promise<void> {
  const all = eventsOf();
  for (let start = 0; start < all.length; start += 1_000) {
    const chunk = all.slice(start, start + 1_000);
    for (const topic of ['created', 'updated', 'deleted'] as const) {
      const events = chunk.filter((one) => one.topic === topic).map(({ event }) => event);
      if (events.length > 0) await publish(world.topics[topic], events, brokers);
    }
  }
}

async function isDrained(world: World, brokers: string): Promise<boolean> {
  for (const topic of [world.topics.created, world.topics.updated, world.topics.deleted]) {
    const ends = await endOffsets(topic, { brokers });
    const committed = await committedOffsets(world.env['KAFKA_GROUP_ID'] ?? '', topic, { brokers });
    for (const [partition, end] of ends) if (end > 0 && (committed.get(partition) ?? 0) < end) return false;
  }
  return true;
}

/** What must be the same after any replay: without revision, times, claims, and what is sealed or keyed. */
async function stateOf(database: TestDatabase): Promise<Record<string, unknown[]>> {
  const connections = await queryDatabase(
    database,
    `SELECT id, entity_type, root, kind, service_type, name, fully_qualified_name, version, state, manager, entity,
            applied_order, event_id, operation FROM connection ORDER BY id`,
  );
  return {
    connections: connections.map(({ applied_order: order, ...row }) => {
      const { digest: _keyed, ...place } = JSON.parse(String(order)) as { digest: string };
      return { ...row, ...place };
    }),
    references: await queryDatabase(
      database,
      'SELECT connection_id, path, pointer, holds, owned, reference_hash, secret_id FROM secret_reference ORDER BY 1, 2',
    ),
    secrets: await queryDatabase(
      database,
      "SELECT manager, secret_id, connection_id FROM stored_secret WHERE state = 'live' ORDER BY 2",
    ),
    kept: await queryDatabase(database, 'SELECT event_hash, state FROM dead_letter'),
    unsent: await queryDatabase(database, UNSENT),
  };
}

/** The last secured event of each connection, without what a replay makes anew; by generation. */
async function lastSecured(world: World, brokers: string): Promise<Map<number, Map<string, object>>> {
  const byGeneration = new Map<number, Map<string, object>>();
  const records = await readAll(world.topics.secured, { brokers, timeoutMs: TIMEOUT_MS });
  for (const data of records.map(securedData)) {
    const { generation, revision: _revision, time: _time, source: _source, ...rest }: SecuredEvent = data;
    const last = byGeneration.get(generation) ?? new Map<string, object>();
    byGeneration.set(generation, last.set(data.connectionId, rest));
  }
  return byGeneration;
}

interface ReplaySummary {
  readonly state: string;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly writes: number;
}

async function replay(env: World['env']): Promise<ReplaySummary & { seconds: number }> {
  const startedAt = performance.now();
  const result = await runCli(['replay', '--json'], { env, timeoutMs: TIMEOUT_MS });
  expect(result.code, result.stderr).toBe(0);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { ...(JSON.parse(result.stdout) as ReplaySummary), seconds };
}

describeWith(
  ['kafka', 'postgres'],
  `replay of ${EVENTS} events over ${CONNECTIONS} connections`,
  ({ kafka }) => {
    it(
      'into an empty database comes to the same; again, it makes no store call',
      async () => {
        const standin = await startAwsStandin();
        const database = await createDatabase('postgres');
        const world = await createWorld({
          brokers: kafka,
          databaseUrl: database.url,
          manager: 'managed-aws',
          partitions: 6,
          env: {
            ...awsClients(standin.url).env,
            SECRET_MANAGER_WRITES_PER_SECOND: '10000',
            LOG_LEVEL: 'error',
          },
        });
        await publishAll(world, kafka);
        const startedAt = performance.now();
        const worker = startWorker(world);
        await waitFor(() => isDrained(world, kafka), {
          what: 'all offsets committed',
          timeoutMs: TIMEOUT_MS,
          intervalMs: 500,
        });
        const firstSeconds = (performance.now() - startedAt) / 1_000;
        expect((await worker.stop(30_000)).code).toBe(0);
        const first = await stateOf(database);
        expect(first).toMatchObject({ kept: [], unsent: [] });
        expect(first['connections']).toHaveLength(CONNECTIONS);
        const values = standin.secrets().map(({ secretId, value }) => [secretId, value]);

        const empty = await createDatabase('postgres');
        const env = { ...world.env, DATABASE_URL: empty.url, WORKER_CONCURRENCY: '32' };
        await takeOver(env);
        const again = await replay(env);
        expect(again.state).toBe('done');
        expect(await stateOf(empty)).toEqual(first);
        const [before, after] = [...(await lastSecured(world, kafka)).entries()]
          .sort(([a], [b]) => a - b)
          .map(([, last]) => last);
        expect(after?.size).toBe(CONNECTIONS);
        expect(after).toEqual(before);
        const live = new Set(first['secrets']?.map((row) => (row as { secret_id: string }).secret_id));
        const liveOf = (all: typeof values) => all.filter(([id]) => live.has(id ?? '')).sort();
        expect(liveOf(standin.secrets().map(({ secretId, value }) => [secretId, value]))).toEqual(
          liveOf(values),
        );

        standin.clearCalls();
        const ends = await endOffsets(world.topics.secured, { brokers: kafka });
        const second = await replay(env);
        expect(standin.calls).toEqual([]);
        expect(second.writes).toBe(0);
        expect(
          Object.keys(second.outcomes).filter((outcome) => !['duplicate', 'stale'].includes(outcome)),
        ).toEqual([]);
        expect(Object.values(second.outcomes).reduce((sum, count) => sum + count, 0)).toBe(EVENTS);
        expect(await endOffsets(world.topics.secured, { brokers: kafka })).toEqual(ends);
        const rounded = [firstSeconds, again.seconds, second.seconds].map((seconds) => seconds.toFixed(1));
        console.log(
          `${EVENTS} events: worker ${rounded[0]} s, replay into an empty database ${rounded[1]} s, again ${rounded[2]} s`,
        );
        await standin.close();
      },
      TIMEOUT_MS * 4,
    );
  },
);
