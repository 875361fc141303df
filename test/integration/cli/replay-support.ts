import Sqlite from 'better-sqlite3';
import { generateKey, KeyRing } from '../../../src/fernet/index.js';
import {
  createDatabase,
  createTopics,
  freshName,
  jsonOf,
  produce,
  queryDatabase,
  readAll,
  runCli,
  type OnBrokers,
  type CliResult,
  type DatabaseEngine,
  type TestDatabase,
} from '../../harness/index.js';
import { answerOf } from '../../harness/json-schemas.js';
import type { SecuredEvent } from '../../../src/terms.js';
import { changeEvent, MARKER } from '../../components/cli/support.js';

export interface ReplayWorld {
  readonly env: Readonly<Record<string, string>>;
  readonly topics: Readonly<Record<'created' | 'updated' | 'deleted' | 'secured' | 'deadLetter', string>>;
  readonly database: TestDatabase;
}

export interface ReplayJson {
  readonly id: string;
  readonly state: string;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly writes: number;
  readonly filtered: number;
  readonly positions: readonly {
    topic: string;
    partition: number;
    from: number;
    position: number;
    end: number;
  }[];
}

export const BASE_MS = 1_790_000_000_000;

/** Topics of its own with one partition each, and an empty database. */
export async function replayWorld(
  brokers: string,
  engine: DatabaseEngine = 'sqlite',
  extra: Readonly<Record<string, string>> = {},
): Promise<ReplayWorld> {
  const name = freshName('replay');
  const topics = {
    created: `${name}.created`,
    updated: `${name}.updated`,
    deleted: `${name}.deleted`,
    secured: `${name}.secured`,
    deadLetter: `${name}.dead-letter`,
  };
  await createTopics(Object.values(topics), { brokers });
  const database = await createDatabase(engine);
  const env = {
    KAFKA_BROKERS: brokers,
    KAFKA_GROUP_ID: name,
    KAFKA_SESSION_TIMEOUT_MS: '6000',
    DATABASE_URL: database.url,
    SECRET_MANAGER: 'db',
    FERNET_KEY: generateKey(),
    TOPIC_CREATED: topics.created,
    TOPIC_UPDATED: topics.updated,
    TOPIC_DELETED: topics.deleted,
    TOPIC_SECURED: topics.secured,
    TOPIC_DEAD_LETTER: topics.deadLetter,
    HTTP_PORT: '0',
    SHUTDOWN_GRACE_MS: '3000',
    ...extra,
  };
  return { env, topics, database };
}

export const connectionId = (number: number): string =>
  `22222222-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** The event of one connection at a time: `number` names the connection, `at` orders it. */
export function eventOf(
  number: number,
  at: number,
  password: string | number = `${MARKER}-${number}-${at}`,
): string {
  return changeEvent({
    id: connectionId(number),
    eventId: `event-${number}-${at}`,
    name: `mysql-${number}`,
    password,
    eventType: at === 0 ? 'entityCreated' : 'entityUpdated',
    timestampMs: BASE_MS + at,
  });
}

export async function publishEvents(
  topic: string,
  events: readonly { number: number; at: number; password?: string | number; timestampMs?: number }[],
  on: OnBrokers = {},
): Promise<void> {
  await produce(
    topic,
    events.map(({ number, at, password, timestampMs }) => ({
      key: connectionId(number),
      value: eventOf(number, at, password),
      ...(timestampMs === undefined ? {} : { timestampMs }),
    })),
    on,
  );
}

/** Runs `replay … --json` and reads its answer. */
export async function runReplay(
  { env }: Pick<ReplayWorld, 'env'>,
  ...args: string[]
): Promise<CliResult & { json: ReplayJson }> {
  const result = await runCli(['replay', ...args, '--json'], { env, timeoutMs: 120_000 });
  if (result.stdout === '') throw new Error(`no answer, code ${String(result.code)}: ${result.stderr}`);
  return { ...result, json: answerOf('replay', result.stdout) as ReplayJson };
}

export async function securedOf({ topics, env }: ReplayWorld): Promise<SecuredEvent[]> {
  const records = await readAll(topics.secured, { brokers: env['KAFKA_BROKERS']! });
  return records.map((record) => (jsonOf(record) as { data: SecuredEvent }).data);
}

export async function rowsOf({ database }: ReplayWorld, sql: string): Promise<Record<string, unknown>[]> {
  return queryDatabase(database, sql);
}

/** Changes rows behind everybody's back; SQLite only. */
export function changeRows({ database }: ReplayWorld, sql: string): void {
  const file = new Sqlite(database.url.slice('sqlite:'.length));
  file.exec(sql);
  file.close();
}

/** An earlier version has left a record of these connections unsent, sealed with a key that nobody has any more. */
export function loseKeyOfSent(world: ReplayWorld, numbers: readonly number[]): void {
  const token = KeyRing.parse('FERNET_KEY', generateKey()).seal('{}');
  const ids = numbers.map((number) => `'${connectionId(number)}'`).join();
  changeRows(
    world,
    `INSERT INTO outbox (id, connection_id, stream, revision, payload, created_at_ms)
     SELECT 'lost-' || id, id, 'secured', revision, 'fernet:${token}', 1 FROM connection WHERE id IN (${ids})`,
  );
}
