import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Partitioners, type Producer } from 'kafkajs';
import { createDatabase, createTopics, freshName, waitFor, type TestDatabase } from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import type { PartStates } from '../../harness/names.js';
import { quietKafka } from '../../harness/quiet-kafka.js';
import { forget, keep } from '../../harness/reaper.js';
import type { CheckInput, PublishedEvent } from '../checker/index.js';
import { PARTITIONS, type SourceItem, type SourceTopic } from './scenario.js';

export type Engine = 'sqlite' | 'postgres' | 'mariadb';

/** Servers that all cells share. */
export interface Servers {
  readonly kafka: string;
  readonly postgres: string;
  readonly mariadb: string;
}

/** @throws where one of them is missing */
export function serversOf(states: PartStates): Servers {
  const addressOf = (part: 'kafka' | 'postgres' | 'mariadb'): string => {
    const state = states[part];
    if (!state.up) throw new Error(`${part} is missing: ${state.reason}`);
    return state.address;
  };
  return { kafka: addressOf('kafka'), postgres: addressOf('postgres'), mariadb: addressOf('mariadb') };
}

export interface WorldOptions {
  readonly engine: Engine;
  /** Null: a pipe, no topics. */
  readonly brokers: string | null;
  /** Of the database. */
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
}

const SOURCES: readonly SourceTopic[] = ['created', 'updated', 'deleted'];
/** Of all source topics together. */
export const SOURCE_PARTITIONS = SOURCES.length * PARTITIONS;
const TOPICS_MS = 120_000;

/** Both in the one stand-in. */
export const MANAGERS = ['managed-aws', 'managed-aws-ssm'] as const;
export type Manager = (typeof MANAGERS)[number];

/**
 * Short, since what a cell does most is wait for these; not as short as the configuration allows, or a machine that does
 * much else at the same time would come to nothing within a claim.
 */
const ENV = {
  CLAIM_MS: '5000',
  STORE_TIMEOUT_MS: '1500',
  RELAY_INTERVAL_MS: '500',
  KAFKA_SESSION_TIMEOUT_MS: '5000',
  SECRET_DELETION_GRACE_SECONDS: '0',
  SECRET_MANAGER_WRITES_PER_SECOND: '1000',
  WAIT_SECONDS: '120',
  HTTP_PORT: 'off',
  LOG_LEVEL: 'debug',
  OM_SM_REGION: 'eu-central-1',
  OM_SM_ACCESS_KEY: 'testing',
} as const;

/** What one cell has for itself: database, store, topics, group, names, and what was published. */
export class World {
  readonly dir = mkdtempSync(join(tmpdir(), 'csw-kills-'));
  readonly name = freshName('kills');
  readonly standin: AwsStandin;
  readonly published: PublishedEvent[] = [];
  readonly brokers: string | null;
  readonly #database: TestDatabase;
  readonly #env: Readonly<Record<string, string>>;
  readonly #key = randomBytes(32).toString('base64');
  #producer: Producer | null = null;
  #lineCount = 0;

  private constructor(
    standin: AwsStandin,
    database: TestDatabase,
    { brokers, env }: Pick<WorldOptions, 'brokers' | 'env'>,
  ) {
    keep({ dir: this.dir });
    this.standin = standin;
    this.#database = database;
    this.brokers = brokers;
    this.#env = env;
  }

  static async create({ engine, server, brokers, env }: WorldOptions): Promise<World> {
    const [standin, database] = await Promise.all([
      startAwsStandin(),
      engine === 'sqlite' ? null : createDatabase(engine, server),
    ]);
    const none: TestDatabase = { engine: 'sqlite', url: '', dispose: async () => undefined };
    const world = new World(standin, database ?? none, { brokers, env });
    await world.#createTopics();
    return world;
  }

  get databaseUrl(): string {
    return this.#database.url === '' ? `sqlite:${join(this.dir, 'work.sqlite')}` : this.#database.url;
  }

  get inFile(): string {
    return join(this.dir, 'in.ndjson');
  }

  get outFile(): string {
    return join(this.dir, 'out.ndjson');
  }

  topic(name: SourceTopic | 'secured' | 'dead-letter'): string {
    return `${this.name}.${name}`;
  }

  /** Of a worker. */
  env(client: string, manager: Manager = 'managed-aws'): Record<string, string> {
    return {
      ...ENV,
      SECRET_MANAGER: manager,
      SECRET_MIGRATION: 'auto',
      FERNET_KEY: this.#key,
      DATABASE_URL: this.databaseUrl,
      AWS_ENDPOINT_URL: this.standin.url,
      // Stands in every request to the store: the test sees which worker has sent it.
      OM_SM_ACCESS_KEY_ID: client,
      TOPIC_CREATED: this.topic('created'),
      TOPIC_UPDATED: this.topic('updated'),
      TOPIC_DELETED: this.topic('deleted'),
      TOPIC_SECURED: this.topic('secured'),
      TOPIC_DEAD_LETTER: this.topic('dead-letter'),
      ...(this.brokers === null ? {} : { KAFKA_BROKERS: this.brokers, KAFKA_GROUP_ID: this.name }),
      ...this.#env,
    };
  }

  /** Into the source topics, in this order. */
  async publish(items: readonly SourceItem[]): Promise<void> {
    const producer = await this.#connected();
    for (const { topic, partition, key, value, published } of items) {
      const sent = await producer.send({
        topic: this.topic(topic),
        acks: -1,
        messages: [{ key: key === '' ? null : key, value, partition }],
      });
      this.#remember(published, topic, partition, Number(sent[0]!.baseOffset));
    }
  }

  /** As lines of a pipe, after those that were asked for before; remembers them as the records with these numbers. */
  lines(items: readonly SourceItem[]): string {
    return items
      .map(({ topic, key, value, published }) => {
        this.#remember(published, topic, 0, this.#lineCount);
        this.#lineCount += 1;
        return `${JSON.stringify({ topic: this.topic(topic), key: key === '' ? null : key, value })}\n`;
      })
      .join('');
  }

  checkInput(logs: Readonly<Record<string, string>>): CheckInput {
    const { brokers } = this;
    const common = {
      published: this.published,
      databaseUrl: this.databaseUrl,
      stores: Object.fromEntries(
        MANAGERS.map((name) => [name, { kind: 'standin', url: this.standin.url } as const]),
      ),
      keys: [this.#key],
      logs,
    } as const;
    if (brokers === null) return { ...common, secured: { kind: 'file', file: this.outFile } };
    return {
      ...common,
      secured: { kind: 'kafka', brokers, topic: this.topic('secured') },
      deadLetters: { kind: 'kafka', brokers, topic: this.topic('dead-letter') },
      sources: { brokers, groupId: this.name, topics: SOURCES.map((source) => this.topic(source)) },
    };
  }

  async dispose(): Promise<void> {
    await Promise.allSettled([
      this.#producer?.disconnect(),
      this.standin.close(),
      this.#database.dispose(),
      this.#dropTopics(),
    ]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    forget({ dir: this.dir });
  }

  #remember(event: PublishedEvent, topic: SourceTopic, partition: number, offset: number): void {
    const place = { topic: this.topic(topic), partition, offset };
    // A record that is no event is known by its place.
    const eventId = event.eventId === '' ? `${place.topic}/${partition}/${offset}` : event.eventId;
    this.published.push({ ...event, eventId, place });
  }

  async #createTopics(): Promise<void> {
    const { brokers } = this;
    if (brokers === null) return;
    const topics = [
      ...SOURCES.map((source) => ({ topic: this.topic(source), partitions: PARTITIONS })),
      { topic: this.topic('secured'), partitions: PARTITIONS },
      this.topic('dead-letter'),
    ];
    const create = async (): Promise<boolean> => createTopics(topics, { brokers }).then(() => true);
    // A broker under load leads a new topic only after a while.
    await waitFor(create, { what: `the topics of ${this.name}`, timeoutMs: TOPICS_MS, intervalMs: 1_000 });
  }

  async #connected(): Promise<Producer> {
    if (this.#producer !== null) return this.#producer;
    const producer = quietKafka(this.brokers ?? '').producer({
      // Not asked: every record says its partition.
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    this.#producer = producer;
    return producer;
  }

  /** A broker of hundreds of cells' topics would become slow. */
  async #dropTopics(): Promise<void> {
    if (this.brokers === null) return;
    const admin = quietKafka(this.brokers, { attempts: 1 }).admin();
    await admin.connect();
    try {
      const topics = [...SOURCES, 'secured', 'dead-letter'] as const;
      await admin.deleteTopics({ topics: topics.map((name) => this.topic(name)) });
    } finally {
      await admin.disconnect();
    }
  }
}
