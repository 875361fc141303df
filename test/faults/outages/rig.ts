import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import {
  checkInvariants,
  describeViolations,
  publishedEvent,
  unsettled,
  type CheckInput,
} from '../checker/index.js';
import { createWorld, securedData, serviceEvent, startWorker, type World } from '../../e2e/fixture.js';
import {
  freshName,
  metricOf,
  produce,
  queryDatabase,
  readAll,
  untilReady,
  urlOf,
  waitFor,
  type TestProcess,
  UNSENT,
} from '../../harness/index.js';

/** Long enough for a machine that does other things as well, short enough for a test. */
export const FAULT_TIMES = {
  CLAIM_MS: '5000',
  STORE_TIMEOUT_MS: '1000',
  RELAY_INTERVAL_MS: '500',
  SHUTDOWN_GRACE_MS: '5000',
} as const;

/** How long the program's promise "others go on" may take. */
export const OTHERS_WITHIN_MS = 3_000;
const BASE_MS = 1_790_000_000_000;
/** The slowest a test waits for what it awaits: machines that run tests are busy. */
export const PATIENCE_MS = 90_000;

export interface RigOptions {
  readonly brokers: string;
  readonly databaseUrl: string;
  /** Default `db`. */
  readonly manager?: string;
  readonly partitions?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A name in the store of the one secret of {@link Connection.name}. */
export const secretIdOf = (name: string): string => `/openmetadata/database/${name}/password`;

/** Topics, a database and a worker process of a test's own; what was published, to compare with what came of it. */
export class Rig {
  readonly world: World;
  readonly brokers: string;
  readonly databaseUrl: string;
  readonly #published: ReturnType<typeof serviceEvent>[] = [];
  readonly #newest = new Map<string, { version: number; password: string | null }>();
  #sent = 0;
  #worker: TestProcess | null = null;
  #url = '';

  private constructor(world: World, { brokers, databaseUrl }: RigOptions) {
    this.world = world;
    this.brokers = brokers;
    this.databaseUrl = databaseUrl;
  }

  static async open(options: RigOptions): Promise<Rig> {
    const { brokers, databaseUrl, manager = 'db', partitions = 2, env = {} } = options;
    const world = await createWorld({
      ...{ brokers, databaseUrl, manager, partitions },
      env: { ...FAULT_TIMES, ...env },
    });
    return new Rig(world, options);
  }

  get worker(): TestProcess {
    if (this.#worker === null) throw new Error('no worker was started');
    return this.#worker;
  }

  /** Where the worker answers HTTP. */
  get url(): string {
    return this.#url;
  }

  /** Starts a worker, which becomes {@link worker}, and waits until it answers HTTP. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<TestProcess> {
    this.#worker = startWorker(this.world, env);
    this.#url = await urlOf(this.#worker);
    return this.#worker;
  }

  async startReady(env: Readonly<Record<string, string>> = {}): Promise<TestProcess> {
    const worker = await this.start(env);
    await untilReady(this.#url, PATIENCE_MS);
    return worker;
  }

  /**
   * Publishes the next version of a connection with a new password (or the given one); returns that. A broker that does
   * not take it is asked again, so the record may get there twice: as of a publisher whose acknowledgement was lost.
   */
  async publish(
    name: string,
    { partition = 0, password }: { partition?: number; password?: string | null } = {},
  ): Promise<string | null> {
    const version = (this.#newest.get(name)?.version ?? 0) + 1;
    this.#sent += 1;
    const value = password === undefined ? freshName('value') : password;
    this.#newest.set(name, { version, password: value });
    const event = serviceEvent({
      ...{ id: name, name, password: value, version },
      timestampMs: BASE_MS + this.#sent,
      eventType: version === 1 ? 'entityCreated' : 'entityUpdated',
    });
    this.note([event]);
    const record = { key: name, value: JSON.stringify(event), partition };
    await waitFor(() => produce(this.world.topics.created, [record], { brokers: this.brokers }), {
      what: `a broker that takes version ${version} of ${name}`,
      timeoutMs: 2 * PATIENCE_MS,
    });
    return value;
  }

  /** For the checker: events of a test's own publishing. */
  note(events: readonly ReturnType<typeof serviceEvent>[]): void {
    this.#published.push(...events);
  }

  /** Waits until the newest version of a connection is applied. */
  async applied(name: string, timeoutMs = PATIENCE_MS): Promise<void> {
    const version = this.#newest.get(name)?.version;
    await waitFor(
      async () => {
        const rows = await this.query(`SELECT version FROM connection WHERE id = '${name}' AND revision > 0`);
        return Number(rows[0]?.['version']) === version;
      },
      { what: `version ${version} of ${name} in the database`, timeoutMs },
    );
  }

  query(sql: string): Promise<Record<string, unknown>[]> {
    return queryDatabase({ url: this.databaseUrl }, sql);
  }

  /**
   * While something is away: the other partition goes on. One of three events in a row must be applied within the time
   * that is promised; the other two may meet a machine that is busy.
   */
  async expectOthersGoOn(partition: number): Promise<void> {
    const durations: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const name = freshName('fine');
      const from = this.worker.lineCount();
      await this.publish(name, { partition });
      const publishedMs = performance.now();
      await this.worker.waitForLine((line) => line.includes('"applied"') && line.includes(name), {
        from,
        timeoutMs: PATIENCE_MS,
      });
      durations.push(performance.now() - publishedMs);
      if (performance.now() - publishedMs < OTHERS_WITHIN_MS) break;
    }
    expect(Math.min(...durations)).toBeLessThan(OTHERS_WITHIN_MS);
  }

  /** What of the metrics of handed back records has been counted so far. */
  retries(): Promise<number> {
    return metricOf(this.#url, 'connection_secrets_retries_total');
  }

  /**
   * After the outage: every event had its outcome once, the last record of each connection is its newest revision, and
   * revisions have no gap.
   */
  async expectNothingLost(): Promise<void> {
    for (const name of this.#newest.keys()) await this.applied(name);
    await waitFor(async () => (await this.query(UNSENT)).length === 0, {
      what: 'nothing unsent',
      timeoutMs: PATIENCE_MS,
    });
    const outcomes = await this.query('SELECT outcome FROM inbox');
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(this.#sent).fill('applied'));
    const records = await readAll(this.world.topics.secured, { brokers: this.brokers });
    for (const [name, { version }] of this.#newest) {
      const revisions = records.filter(({ key }) => key === name).map((record) => securedData(record));
      const distinct = [...new Set(revisions.map(({ revision }) => revision))];
      expect(distinct, name).toEqual(distinct.map((_, at) => at + 1));
      expect(revisions.at(-1), name).toMatchObject({ revision: distinct.length, version });
    }
  }

  /** Waits until nothing goes on any more (but for what is excepted), then asks the checker about the five invariants. */
  async expectInvariants(
    standinUrl: string,
    workers: readonly TestProcess[],
    except: Parameters<typeof unsettled>[1] = [],
  ): Promise<void> {
    const { brokers, databaseUrl } = this;
    const { env, topics, key } = this.world;
    const input: CheckInput = {
      published: this.#published.map((event) => publishedEvent(event)),
      databaseUrl,
      stores: { 'managed-aws': { kind: 'standin', url: standinUrl } },
      secured: { kind: 'kafka', brokers, topic: topics.secured },
      deadLetters: { kind: 'kafka', brokers, topic: topics.deadLetter },
      sources: {
        ...{ brokers, groupId: env['KAFKA_GROUP_ID']! },
        topics: [topics.created, topics.updated, topics.deleted],
      },
      keys: [key],
      logs: Object.fromEntries(workers.map((each, at) => [`worker ${at}`, each.stdout() + each.stderr()])),
    };
    await waitFor(
      async () => {
        const open = await unsettled(input, except);
        if (open.length > 0) throw new Error(open.join('; '));
        return true;
      },
      { what: 'nothing going on any more', timeoutMs: 2 * PATIENCE_MS, intervalMs: 500 },
    );
    expect(describeViolations(await checkInvariants(input))).toBe('');
  }
}

/** What a worker has done up to now, to be compared with later. */
interface Mark {
  readonly lines: number;
  readonly cpuSeconds: number;
  readonly atMs: number;
}

const LEAST_CALM_MS = 3_000;
/** A line that would come again and again is let through so often. */
const REPEATED_MS = 30_000;

/** Looks at what a worker does while something is away. */
export class Calm {
  readonly #rig: Rig;
  readonly #since: Mark;

  private constructor(rig: Rig, since: Mark) {
    this.#rig = rig;
    this.#since = since;
  }

  static async since(rig: Rig): Promise<Calm> {
    return new Calm(rig, await mark(rig));
  }

  get elapsedMs(): number {
    return performance.now() - this.#since.atMs;
  }

  /** The worker's lines since then that tell of failures: events that were handled are not counted. */
  lines(): string[] {
    const { worker } = this.#rig;
    return `${worker.stdout()}${worker.stderr()}`
      .trim()
      .split('\n')
      .slice(this.#since.lines)
      .filter((line) => !line.includes('"msg":"event"'));
  }

  /**
   * Neither a flood of lines nor a busy loop, which a shorter time than {@link LEAST_CALM_MS} does not tell from work.
   * @param maxLines of what is not an event, in each {@link REPEATED_MS}: on a busy machine all of it takes longer
   */
  async expectCalm(maxLines: number): Promise<void> {
    await waitFor(() => this.elapsedMs >= LEAST_CALM_MS, { what: 'enough time to judge by' });
    const now = await mark(this.#rig);
    const lines = this.lines();
    expect(lines.length, lines.join('\n')).toBeLessThanOrEqual(
      maxLines * Math.ceil(this.elapsedMs / REPEATED_MS),
    );
    const load = (now.cpuSeconds - this.#since.cpuSeconds) / ((now.atMs - this.#since.atMs) / 1_000);
    expect(load, 'share of one core').toBeLessThan(0.5);
  }
}

async function mark(rig: Rig): Promise<Mark> {
  return {
    lines: `${rig.worker.stdout()}${rig.worker.stderr()}`.trim().split('\n').length,
    cpuSeconds: await metricOf(rig.url, 'process_cpu_seconds_total'),
    atMs: performance.now(),
  };
}

/** Environment that loads one of the hooks beside this file into the worker before its own code. */
export function withHook(
  file: string,
  env: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  return { ...env, NODE_OPTIONS: `--import=${fileURLToPath(new URL(`../hooks/${file}`, import.meta.url))}` };
}
