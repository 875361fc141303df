import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PROJECT_DIR, queryDatabase, UNSENT } from '../../harness/index.js';
import {
  describeViolations,
  gather,
  judge,
  account,
  unsettled,
  untold,
  type CheckInput,
  type PublishedEvent,
  type Violation,
} from '../checker/index.js';
import { FaultPlayer } from './fault-player.js';
import { makeHistory } from './history.js';
import { Measures, type ProcessFigures } from './measures.js';
import type { SoakOptions } from './options.js';
import { publishEvenly } from './publisher.js';
import { Random } from './random.js';
import { openWorld, TOPICS, type SoakWorld } from './world.js';

const LOOK_EVERY_MS = 2_000;
const TELL_EVERY_MS = 30_000;
const DRAIN_EVERY_MS = 1_000;
const STOP_DEADLINE_MS = 30_000;

/** What a run has shown. */
export interface SoakResult {
  readonly options: SoakOptions;
  readonly events: number;
  readonly records: number;
  /** Records that are no events, and each a dead letter. */
  readonly bombs: number;
  /** Everything that the checker has to account for: events, those published again, bombs. */
  readonly published: number;
  /** Of these, whose record was deleted, perhaps unread. */
  readonly deleted: number;
  readonly connections: number;
  /** Until everything was settled; without the start and the check. */
  readonly seconds: number;
  readonly faults: ReadonlyMap<string, number>;
  /** Adds up to what was published. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly secured: number;
  /** Of the steady worker, while events came in; null: too short to say. */
  readonly steady: ProcessFigures | null;
  /** How often workers were started, and ended by themselves without having been told to. */
  readonly starts: number;
  readonly ownEnds: readonly string[];
  readonly violations: readonly Violation[];
  /** What else went wrong: what never settled, faults that could not be undone, stops that took too long. */
  readonly problems: readonly string[];
  /** Logs and the rest; null where all is well and nothing was kept. */
  readonly dir: string | null;
}

export type Tell = (line: string) => void;

/** One run from the first server to the last: nothing is needed before, nothing is left behind but logs of a failure. */
export async function runSoak(options: SoakOptions, tell: Tell): Promise<SoakResult> {
  const dir = join(PROJECT_DIR, '.tmp', `soak-${options.seed}-${process.pid}`);
  mkdirSync(dir, { recursive: true });
  tell(`seed ${options.seed}: starting servers`);
  const world = await openWorld(options, dir);
  try {
    const result = await new Soak(options, world, dir, tell).run();
    const isWell = result.violations.length + result.problems.length + result.ownEnds.length === 0;
    if (isWell) rmSync(dir, { recursive: true, force: true });
    return { ...result, dir: isWell ? null : dir };
  } finally {
    await world.close();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #world: SoakWorld;
  readonly #dir: string;
  readonly #tell: Tell;
  readonly #measures = new Measures();
  readonly #problems: string[] = [];
  #phase: 'faults' | 'drain' | 'over' = 'faults';
  #sent = 0;

  constructor(options: SoakOptions, world: SoakWorld, dir: string, tell: Tell) {
    this.#options = options;
    this.#world = world;
    this.#dir = dir;
    this.#tell = tell;
  }

  async run(): Promise<Omit<SoakResult, 'dir'>> {
    const { minutes, events, connections, seed, pauseMs, claimMs, manager } = this.#options;
    const baseMs = Date.now() - events;
    const history = makeHistory({ events, connections, random: new Random(seed), baseMs });
    const { records } = history;
    const input: CheckInput = { ...this.#world.check, published: [] };
    const writes =
      manager === 'managed-aws'
        ? ['CreateSecret', 'PutSecretValue', 'DeleteSecret']
        : ['PutParameter', 'DeleteParameter'];
    const faultLog = join(this.#dir, 'faults.log');
    const targets = { ...this.#world, claimMs, writes };
    const faults = new FaultPlayer(targets, new Random(seed + 1), faultLog, pauseMs);
    const begin = performance.now();
    for (const worker of this.#world.workers) worker.start();
    const steadyPid = this.#world.workers[0]?.pid ?? 0;
    const looking = this.#look(input.databaseUrl);
    const durationMs = minutes * 60_000;
    await Promise.all([
      publishEvenly(records, {
        brokers: this.#world.broker.address,
        topics: TOPICS,
        // What is published last meets faults as well.
        durationMs: durationMs * 0.95,
        flow: this.#world.flow,
        onProgress: (sent) => (this.#sent = sent),
      }),
      faults.play(durationMs),
    ]);
    this.#phase = 'drain';
    const steady = this.#measures.figures(steadyPid);
    const lost = history.published.map((event) => this.#world.losses.told(event));
    const again = history.again(connectionsOf(lost));
    // As an operator is told to do where records were missed.
    await publishEvenly(again.records, {
      ...{ brokers: this.#world.broker.address, topics: TOPICS, flow: this.#world.flow },
      durationMs: 1,
    });
    const published = [...lost, ...again.published, ...this.#world.bombs.published];
    const all = { ...input, published };
    await this.#drain(all);
    const seconds = (performance.now() - begin) / 1_000;
    this.#phase = 'over';
    await looking;
    await this.#stopWorkers();
    this.#problems.push(...faults.failures);
    return {
      options: this.#options,
      events,
      records: records.length,
      bombs: this.#world.bombs.published.length,
      connections,
      seconds,
      faults: faults.struck,
      steady,
      starts: this.#world.workers.reduce((sum, { starts }) => sum + starts, 0),
      ownEnds: this.#world.workers.flatMap(({ name, ownEnds }) =>
        ownEnds.map(({ how }) => `${name}: ${how}`),
      ),
      published: published.length,
      deleted: lost.filter(({ deleted }) => deleted !== undefined).length,
      ...(await this.#check(all)),
      problems: this.#problems,
    };
  }

  /** Measures, tells how far it is, and does what a service manager would: starts again what ended. */
  async #look(databaseUrl: string): Promise<void> {
    let toldMs = performance.now();
    while (this.#phase !== 'over') {
      await delay(LOOK_EVERY_MS);
      const { workers, store } = this.#world;
      this.#measures.look(workers.flatMap(({ pid }) => (pid === null ? [] : [pid])));
      for (const { ownEnds, name, pid } of workers)
        if (pid === null && ownEnds.length > 0) this.#tell(`${name} is not there`);
      if (performance.now() - toldMs < TELL_EVERY_MS) continue;
      toldMs = performance.now();
      await store.forgetCalls();
      const counts = await countRows(databaseUrl).catch(() => 'database not there');
      this.#tell(`${this.#phase}: ${this.#sent} records published; ${counts}`);
    }
  }

  async #drain(input: CheckInput): Promise<void> {
    this.#tell('no more faults; waiting for what is left over');
    await delay(this.#world.store.landsInMs);
    let open: readonly string[] = [];
    let movedMs = performance.now();
    do {
      for (const worker of this.#world.workers) worker.start();
      await delay(DRAIN_EVERY_MS);
      const before = open.join();
      open = await Promise.all([unsettled(input), untold(input)])
        .then((all) => all.flat())
        .catch(() => ['the servers do not answer']);
      if (open.join() !== before) movedMs = performance.now();
    } while (open.length > 0 && performance.now() - movedMs < this.#options.stuckSeconds * 1_000);
    this.#problems.push(...open.map((one) => `never settled: ${one}`));
  }

  async #stopWorkers(): Promise<void> {
    const stopped = await Promise.all(
      this.#world.workers.map(async (worker) => ({ worker, inTime: await worker.stop(STOP_DEADLINE_MS) })),
    );
    for (const { worker, inTime } of stopped)
      if (!inTime) this.#problems.push(`${worker.name} did not end in ${STOP_DEADLINE_MS} ms`);
  }

  async #check(input: CheckInput): Promise<Pick<SoakResult, 'violations' | 'outcomes' | 'secured'>> {
    this.#tell('checking the invariants');
    const evidence = await gather(input);
    const violations = judge(input.published, evidence);
    if (violations.length > 0) {
      writeFileSync(join(this.#dir, 'violations.txt'), describeViolations(violations));
      for (const id of [...new Set(violations.map(({ connection }) => connection))].slice(0, 20))
        writeFileSync(
          join(this.#dir, `connection-${id ?? 'none'}.json`),
          JSON.stringify(storyOf(id, input, evidence), null, 1),
        );
    }
    const outcomes = account(input.published, evidence.database);
    return { violations, outcomes, secured: evidence.secured.records.length };
  }
}

function connectionsOf(events: readonly PublishedEvent[]): ReadonlySet<string> {
  return new Set(
    events.flatMap(({ deleted, connectionId }) =>
      deleted === undefined || connectionId === null ? [] : [connectionId],
    ),
  );
}

/** Everything that is known of one connection, to find out what happened to it. The values are made up. */
function storyOf(
  id: string | null,
  input: CheckInput,
  { database, secured, stores }: Awaited<ReturnType<typeof gather>>,
) {
  const isIts = ({ connectionId }: { readonly connectionId: string | null }): boolean => connectionId === id;
  return {
    published: input.published.filter(isIts),
    row: database.connections.find((row) => row.id === id),
    references: database.references.filter(isIts),
    stored: database.stored.filter(isIts),
    inbox: database.inbox.filter(isIts),
    outbox: database.outbox.filter(isIts),
    deadLetters: database.deadLetters.filter(isIts),
    secured: secured.records.filter(isIts),
    store: [...stores.values()].flatMap((secrets) =>
      [...(secrets?.values() ?? [])].filter(({ owner }) => owner === id),
    ),
  };
}

async function countRows(url: string): Promise<string> {
  const sql = `SELECT (SELECT COUNT(*) FROM inbox) AS done, (SELECT COUNT(*) FROM (${UNSENT}) AS waiting) AS unsent,
    (SELECT COUNT(*) FROM dead_letter) AS kept, (SELECT COUNT(*) FROM stored_secret WHERE suspect_until_ms IS NOT NULL) AS doubt`;
  const [row] = await queryDatabase({ url }, sql);
  const count = (name: string): number => Number(row?.[name]);
  return `${count('done')} events done, ${count('unsent')} unsent, ${count('kept')} kept, ${count('doubt')} in doubt`;
}
