import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createResolver, ingestionFromEnv, reveal, subscribeSecured } from '../../src/ingestion/index.js';
import type { FilledObject, Resolver, SecuredEvent } from '../../src/ingestion/index.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  queryDatabase,
  runCli,
  waitFor,
  type TestDatabase,
  type TestProcess,
  UNSENT,
} from '../harness/index.js';
import { createWorld, publish, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

/** 200 connections; `npm run test:migration` takes 5,000, with 12,000 secrets. */
const CONNECTIONS = Number(process.env.TEST_MIGRATION_CONNECTIONS ?? 200);
const BASE_MS = 1_790_000_000_000;
const MASKED = '*********';
/** Events a second while everything moves. */
const FLOW_PER_SECOND = 10;
/** References that the reader resolves at a time, all the time. */
const READ_AT_ONCE = 4;
const STAGE_MS = 300_000 + CONNECTIONS * 200;

const idOf = (number: number): string => `connection-${number}`;
/** 2.4 on average: three for two of five, else two. */
const fieldsOf = (number: number): readonly string[] =>
  number % 5 < 2 ? ['password', 'apiToken', 'clientSecret'] : ['password', 'apiToken'];

/** What the metadata server says, and what every reader must come to read. */
class Server {
  readonly #versions = new Map<number, number>();
  readonly #values = new Map<number, Record<string, string>>();
  published = 0;

  constructor(
    private readonly world: World,
    private readonly brokers: string,
  ) {}

  expected(number: number): Readonly<Record<string, string>> {
    return this.#values.get(number) ?? {};
  }

  get secrets(): number {
    return [...this.#values.values()].reduce((sum, values) => sum + Object.keys(values).length, 0);
  }

  async createAll(): Promise<void> {
    const events = Array.from({ length: CONNECTIONS }, (_, number) => this.#event(number, () => true));
    for (let at = 0; at < events.length; at += 500)
      await publish(this.world.topics.created, events.slice(at, at + 500), this.brokers);
  }

  /** Changes some fields of some connections, masks the others, until it is told to stop. */
  async flow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const numbers = new Set(
        Array.from({ length: FLOW_PER_SECOND }, () => Math.floor(Math.random() * CONNECTIONS)),
      );
      const events = [...numbers].map((number) => this.#event(number, () => Math.random() < 0.4));
      await publish(this.world.topics.updated, events, this.brokers);
      await sleep(1_000, undefined, { signal }).catch(() => undefined);
    }
  }

  #event(number: number, isSet: () => boolean) {
    const version = (this.#versions.get(number) ?? 0) + 1;
    this.#versions.set(number, version);
    this.published += 1;
    const values = { ...this.#values.get(number) };
    const config: Record<string, string> = {};
    for (const field of fieldsOf(number)) {
      const isNew = version === 1 || isSet();
      if (isNew) values[field] = `value-${number}-${field}-${version}`;
      config[field] = isNew ? (values[field] ?? '') : MASKED;
    }
    this.#values.set(number, values);
    const event = serviceEvent({
      id: idOf(number),
      name: `service-${number}`,
      password: config['password'] ?? null,
      timestampMs: BASE_MS + this.published,
      version,
      eventType: version === 1 ? 'entityCreated' : 'entityUpdated',
    });
    const { password: _, ...options } = config;
    const connection = { config: { ...event.entity.connection.config, connectionOptions: options } };
    return { ...event, entity: { ...event.entity, connection } };
  }
}

/** An ingestion worker: resolves every event it gets, and the newest it has of all connections, again and again. */
class Reader {
  readonly newest = new Map<string, SecuredEvent>();
  readonly failures: string[] = [];
  handled = 0;
  resolved = 0;
  readonly #resolver: Resolver;
  readonly #stop = new AbortController();
  readonly #working: Promise<unknown>;
  readonly #subscription: { stop(graceMs?: number): Promise<void> };

  constructor(env: Readonly<Record<string, string>>) {
    const settings = ingestionFromEnv({ ...env, KAFKA_GROUP_ID: `${env['KAFKA_GROUP_ID'] ?? ''}-reader` });
    // Nothing from memory: every look is a look at the store.
    this.#resolver = createResolver({ ...settings.resolver, cacheTtlMs: 0 });
    this.#subscription = subscribeSecured(
      { ...settings.subscription, resolver: this.#resolver },
      async ({ event, attempt, resolve }) => {
        await this.#counted(event, `event, attempt ${attempt}`, resolve);
        this.newest.set(event.connectionId, event);
        this.handled += 1;
      },
    );
    this.#working = Promise.all(Array.from({ length: READ_AT_ONCE }, () => this.#readOn()));
  }

  async #readOn(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const events = [...this.newest.values()];
      const event = events[Math.floor(Math.random() * events.length)];
      if (event === undefined) await sleep(50);
      else await this.#counted(event, 'again', () => this.#resolver.fill(event)).catch(() => undefined);
      await sleep(5);
    }
  }

  async #counted(event: SecuredEvent, what: string, read: () => Promise<unknown>): Promise<void> {
    try {
      await read();
      this.resolved += 1;
    } catch (error) {
      const { connectionId, revision, manager, operation } = event;
      const newest = this.newest.get(connectionId)?.revision;
      this.failures.push(
        `${what}: ${connectionId} ${operation} ${revision} (newest ${newest}) in ${manager}: ${String(error)}`,
      );
      throw error;
    }
  }

  valuesOf(id: string): Promise<FilledObject | null> {
    const event = this.newest.get(id);
    return event === undefined ? Promise.resolve(null) : this.#resolver.fill(event, { fresh: true });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#working;
    await this.#subscription.stop();
    await this.#resolver.close();
  }
}

const query = (database: TestDatabase, sql: string) => queryDatabase(database, sql);

async function countOf(database: TestDatabase, where: string, table = 'connection'): Promise<number> {
  const [row] = await query(database, `SELECT COUNT(*) AS n FROM ${table} WHERE ${where}`);
  return Number(row?.['n']);
}

const keptIn = (database: TestDatabase, manager: string) => countOf(database, `manager = '${manager}'`);

describeWith(
  ['kafka', 'postgres'],
  `${CONNECTIONS} connections: db → Secrets Manager → SSM → db`,
  ({ kafka }) => {
    it(
      'while events flow and workers are killed: every value is right, every reference resolves, nothing is left over',
      async () => {
        const startedAt = performance.now();
        const figures: string[] = [];
        const say = (text: string): void => {
          figures.push(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(5)} s  ${text}`);
          console.log(figures.at(-1));
        };
        const standin = await startAwsStandin();
        standin.configure({ maxParameters: 50_000 });
        disposeLater(() => standin.close());
        const database = await createDatabase('postgres');
        const world = await createWorld({
          brokers: kafka,
          databaseUrl: database.url,
          manager: 'db',
          partitions: 6,
          env: {
            ...awsClients(standin.url).env,
            SECRET_MANAGER_WRITES_PER_SECOND: '10000',
            AWS_SM_FORCE_DELETE: 'true',
            CLAIM_MS: '10000',
            STORE_TIMEOUT_MS: '4000',
            LOG_LEVEL: 'info',
          },
        });
        const server = new Server(world, kafka);
        const under = (manager: string): TestProcess => startWorker(world, { SECRET_MANAGER: manager });
        const until = (what: string, done: () => Promise<boolean>) =>
          waitFor(done, { what, timeoutMs: STAGE_MS, intervalMs: 500 });
        const migrate = async (...args: string[]) => {
          const result = await runCli(['migrate-secrets', ...args, '--json'], {
            env: world.env,
            timeoutMs: STAGE_MS,
          });
          expect(result.code, result.stderr).toBe(0);
          return JSON.parse(result.stdout) as { moved: number; deleted: number; kept: number };
        };

        const first = under('db');
        await server.createAll();
        await until('all created', async () => (await keptIn(database, 'db')) === CONNECTIONS);
        say(`${CONNECTIONS} connections with ${server.secrets} secrets in db`);

        const reader = new Reader(world.env);
        const stopFlow = new AbortController();
        const flow = server.flow(stopFlow.signal);
        await until('the reader has all', () => Promise.resolve(reader.newest.size === CONNECTIONS));

        // By configuration: a start under another manager; the worker of the old one ends by itself.
        let worker = under('managed-aws');
        expect(await first.waitForExit(STAGE_MS)).toMatchObject({ code: 2 });
        await until(
          'a third is in Secrets Manager',
          async () => (await keptIn(database, 'managed-aws')) > CONNECTIONS / 3,
        );
        worker.kill('SIGKILL');
        await worker.waitForExit();
        say('killed the worker at a third of the way to Secrets Manager');
        worker = under('managed-aws');
        await until(
          'all in Secrets Manager',
          async () => (await keptIn(database, 'managed-aws')) === CONNECTIONS,
        );
        say('all in Secrets Manager');

        // By command, beside a worker; killed as well.
        const moving = migrate('--to', 'managed-aws-ssm');
        expect(await worker.waitForExit(STAGE_MS)).toMatchObject({ code: 2 });
        worker = under('managed-aws-ssm');
        await until(
          'a third is in SSM',
          async () => (await keptIn(database, 'managed-aws-ssm')) > CONNECTIONS / 3,
        );
        worker.kill('SIGKILL');
        await worker.waitForExit();
        say('killed the worker at a third of the way to SSM');
        worker = under('managed-aws-ssm');
        say(`the command moved ${(await moving).moved}, the events and workers the rest`);
        await until('all in SSM', async () => (await keptIn(database, 'managed-aws-ssm')) === CONNECTIONS);
        say('all in SSM');

        // Back to where it began: only by command.
        const back = migrate('--to', 'db', '--yes');
        expect(await worker.waitForExit(STAGE_MS)).toMatchObject({ code: 2 });
        worker = under('db');
        say(`the command moved ${(await back).moved} to db`);
        await until('all in db', async () => (await keptIn(database, 'db')) === CONNECTIONS);

        stopFlow.abort();
        await flow;
        await until(
          'all applied',
          async () => (await countOf(database, `outcome = 'applied'`, 'inbox')) === server.published,
        );
        await until('all told', async () => (await query(database, UNSENT)).length === 0);
        const revisions = new Map(
          (await query(database, 'SELECT id, revision FROM connection')).map((row) => [
            String(row['id']),
            Number(row['revision']),
          ]),
        );
        await until('the reader has read all', () =>
          Promise.resolve(
            [...revisions].every(([id, revision]) => reader.newest.get(id)?.revision === revision),
          ),
        );
        say(`${server.published} events applied, ${reader.handled} secured events read`);

        const deleted = await migrate('--to', 'db', '--delete-source', '--yes');
        say(`${deleted.deleted} secrets deleted at the end, ${deleted.kept} kept`);
        expect(standin.secrets()).toEqual([]);
        expect(await countOf(database, `state NOT IN ('deleted')`, 'stored_secret')).toBe(0);

        const wrong: string[] = [];
        for (let number = 0; number < CONNECTIONS; number += 1) {
          const text = JSON.stringify(reveal((await reader.valuesOf(idOf(number))) ?? {}));
          const values = Object.values(server.expected(number));
          if (values.some((value) => !text.includes(`"${value}"`))) wrong.push(idOf(number));
        }
        expect(wrong).toEqual([]);
        expect((await worker.stop()).code).toBe(0);
        await reader.close();
        say(
          `${reader.resolved} times resolved without a failure while all that went on: ${reader.failures.length} failures`,
        );
        expect(reader.failures.slice(0, 10)).toEqual([]);
        expect(await countOf(database, '1 = 1', 'dead_letter')).toBe(0);
      },
      4 * STAGE_MS,
    );
  },
);
