import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import {
  createTopics,
  freshName,
  jsonOf,
  produce,
  readAll,
  runCli,
  startCli,
  waitFor,
  type ReceivedRecord,
  type TestProcess,
} from '../harness/index.js';
import { requireSecuredSchema } from '../harness/schemas.js';
import type { SecuredEvent } from '../../src/terms.js';

/** Names of a test's own topics, and the environment that makes a worker use them. */
export interface World {
  readonly topics: Readonly<Record<'created' | 'updated' | 'deleted' | 'secured' | 'deadLetter', string>>;
  readonly key: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface WorldOptions {
  readonly brokers: string;
  readonly databaseUrl: string;
  readonly manager: string;
  readonly partitions?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const name = freshName('world');
  const topics = {
    created: `${name}.created`,
    updated: `${name}.updated`,
    deleted: `${name}.deleted`,
    secured: `${name}.secured`,
    deadLetter: `${name}.dead-letter`,
  };
  const { brokers, partitions = 3 } = options;
  await createTopics(
    Object.values(topics).map((topic) => ({ topic, partitions })),
    { brokers },
  );
  const key = randomBytes(32).toString('base64');
  return {
    topics,
    key,
    env: {
      KAFKA_BROKERS: brokers,
      KAFKA_GROUP_ID: name,
      KAFKA_SESSION_TIMEOUT_MS: '6000',
      DATABASE_URL: options.databaseUrl,
      SECRET_MANAGER: options.manager,
      FERNET_KEY: key,
      TOPIC_CREATED: topics.created,
      TOPIC_UPDATED: topics.updated,
      TOPIC_DELETED: topics.deleted,
      TOPIC_SECURED: topics.secured,
      TOPIC_DEAD_LETTER: topics.deadLetter,
      HTTP_PORT: '0',
      ...options.env,
    },
  };
}

/** A real worker process. */
export function startWorker(world: World, env: Readonly<Record<string, string>> = {}): TestProcess {
  return startCli(['start'], { ...world.env, ...env });
}

export interface ServiceEventOptions {
  readonly id: string;
  readonly name: string;
  readonly password: string | null;
  readonly timestampMs: number;
  readonly version?: number;
  readonly eventType?: 'entityCreated' | 'entityUpdated' | 'entityDeleted';
  readonly hostPort?: string;
}

/** A change event of a MySQL service, as OpenMetadata writes it. */
export function serviceEvent(options: ServiceEventOptions) {
  const { id, name, password, timestampMs, version = 0.1, eventType = 'entityCreated' } = options;
  return {
    id: freshName('event'),
    eventType,
    entityType: 'databaseService',
    entityId: id,
    entityFullyQualifiedName: name,
    currentVersion: version,
    userName: 'admin',
    timestamp: timestampMs,
    entity: {
      id,
      name,
      fullyQualifiedName: name,
      serviceType: 'Mysql',
      version,
      connection: {
        config: {
          type: 'Mysql',
          username: 'openmetadata_user',
          password,
          hostPort: options.hostPort ?? 'mysql.internal:3306',
        },
      },
    },
  };
}

export async function publish(
  topic: string,
  events: readonly { entityId: string }[],
  brokers: string,
): Promise<void> {
  await produce(
    topic,
    events.map((event) => ({ key: event.entityId, value: JSON.stringify(event) })),
    { brokers },
  );
}

/** The data of a record of the secured topic, which must be what docs/schemas promises. */
export function securedData(record: ReceivedRecord): SecuredEvent {
  requireSecuredSchema(record);
  return (jsonOf(record) as { data: SecuredEvent }).data;
}

/** Waits until the secured topic has (at least) so many records; returns all of them. */
export async function securedEvents(
  world: World,
  count: number,
  brokers: string,
  timeoutMs = 30_000,
): Promise<SecuredEvent[]> {
  const records = await waitFor(
    async () => {
      const all = await readAll(world.topics.secured, { brokers });
      return all.length >= count ? all : null;
    },
    { what: `${count} records in ${world.topics.secured}`, timeoutMs, intervalMs: 250 },
  );
  return records.map(securedData);
}

/** The store knows another database: its refusal names the installation, and the lost one's place is taken. */
export async function takeOver(env: World['env']): Promise<void> {
  const refused = await runCli(['replay'], { env });
  expect(refused.code, refused.stderr).toBe(2);
  const lost = /doctor --take-over (\S+?)`/.exec(refused.stderr)?.[1];
  expect(lost, refused.stderr).toBeDefined();
  const taken = await runCli(['doctor', '--take-over', lost!], { env });
  expect(taken.code, taken.stdout + taken.stderr).toBe(0);
}
