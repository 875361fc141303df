import { setTimeout as delay } from 'node:timers/promises';
import { HopelessError, queryDatabase, waitFor, type WaitOptions } from '../../harness/index.js';
import { messageOf } from '../../harness/names.js';
import type { TestProcess } from '../../harness/start-process.js';
import { unsettled } from '../checker/index.js';
import type { Boundary, Kill } from './boundary.js';
import type { Column } from './columns.js';
import { Guest } from './guest.js';
import { Scenario } from './scenario.js';
import { killDuring } from './store-kill.js';
import { KillPlan, startHooked } from './worker.js';
import { SOURCE_PARTITIONS, type Manager, type World } from './world.js';

const START_MS = 180_000;
const REACH_MS = 180_000;
const SETTLE_MS = 300_000;
/**
 * Between two rounds of events, as long as the boundary is not reached. By chance it may take many: which partitions a
 * rebalance moves and whether something is under way there, whose scan is first.
 */
const ROUND_MS = 4_000;
/** The claim of who has died, and the relay's next look: an event that comes before would publish in its place. */
const RELAY_MS = 10_000;
/** How long a rebalance waits for the one before. */
const [ALONE_LOOKS, ALONE_LOOK_MS] = [100, 100];
const LOOK_MS = 20;

/**
 * Real workers on Kafka, one of which dies.
 *
 * @param logs gets what they printed, also where it fails
 */
export async function runStartCell(
  world: World,
  boundary: Boundary,
  kills: readonly Kill[],
  { workers, dies }: Pick<Column, 'dies'> & { workers: number },
  logs: Record<string, string>,
): Promise<void> {
  const cell = new StartCell(world, boundary, kills, { workers, dies });
  try {
    await cell.run();
  } finally {
    await cell.dispose();
    Object.assign(logs, cell.logs());
  }
}

class StartCell {
  readonly #world: World;
  readonly #boundary: Boundary;
  readonly #plan: KillPlan;
  readonly #names: readonly string[];
  readonly #takesOver: boolean;
  readonly #manager: Manager;
  readonly #guest: Guest;
  readonly #scenario = new Scenario();
  /** Who runs now, by name. */
  readonly #running = new Map<string, TestProcess>();
  readonly #all: { readonly name: string; readonly client: string; readonly worker: TestProcess }[] = [];

  constructor(
    world: World,
    boundary: Boundary,
    kills: readonly Kill[],
    { workers, dies }: Pick<Column, 'dies'> & { workers: number },
  ) {
    this.#world = world;
    this.#boundary = boundary;
    this.#takesOver = dies === 'other';
    this.#manager = boundary.migrates === true ? 'managed-aws-ssm' : 'managed-aws';
    this.#names = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`);
    this.#plan = new KillPlan(world.dir, kills, {
      spare: this.#takesOver,
      armed: boundary.rebalance === true,
    });
    this.#guest = new Guest(world);
  }

  async run(): Promise<void> {
    const { atStart = false, migrates = false } = this.#boundary;
    if (migrates) await this.#workUnder('managed-aws');
    else if (atStart) await this.#publishRound();
    for (const name of this.#names) this.#start(name);
    if (!atStart && !migrates) await this.#joined();
    for (const [index, kill] of this.#plan.kills.entries()) {
      await this.#reach(index, kill);
      await this.#replace(index);
    }
    this.#world.standin.clearFaults();
    await this.#guest.leave();
    await this.#publishRound();
    await this.#settled();
    await this.#stop();
  }

  async dispose(): Promise<void> {
    await Promise.allSettled([this.#guest.leave(), ...this.#all.map(({ worker }) => worker.dispose())]);
  }

  /** A round of events, by one worker that nobody ends; what comes after it works under another manager. */
  async #workUnder(manager: Manager): Promise<void> {
    const harmless = new KillPlan(this.#world.dir, [], { spare: false, armed: false });
    await this.#publishRound();
    this.#start('worker-0', harmless, manager);
    await this.#settled();
    await this.#stop();
  }

  #start(name: string, plan = this.#plan, manager: Manager = this.#manager): void {
    // Of this process alone: the one before it under this name may have a request on its way.
    const client = `${name}-process-${this.#all.length + 1}`;
    const worker = startHooked(['start'], this.#world, plan, client, manager);
    this.#running.set(name, worker);
    this.#all.push({ name, client, worker });
  }

  /** All of them have partitions: so each may come to the boundary. */
  async #joined(): Promise<void> {
    await this.#waitFor(() => this.#names.every((name) => partitionsOf(this.#running.get(name)) > 0), {
      what: 'partitions for all workers',
      timeoutMs: START_MS,
      intervalMs: 100,
    });
  }

  async #publishRound(): Promise<void> {
    await this.#world.publish(this.#scenario.round({ orphan: this.#boundary.orphan ?? false }));
  }

  /** Events, until a process has died of it. */
  async #reach(index: number, kill: Kill): Promise<void> {
    const flow = new AbortController();
    const isLeftToRelay = this.#boundary.leavesToRelay === true && index > 0;
    const flowing = this.#flow(flow.signal, isLeftToRelay ? RELAY_MS : 0);
    try {
      if ('during' in kill)
        await killDuring(
          this.#world,
          this.#plan,
          { index, during: kill.during },
          {
            wait: (look, what) => this.#waitFor(look, { what, timeoutMs: REACH_MS, intervalMs: LOOK_MS }),
            processOf: (sender) => this.#all.find(({ client }) => client === sender)?.worker,
          },
        );
      else
        await this.#waitFor(() => this.#plan.reachedBy(index) !== null, {
          what: `kill ${index + 1} of ${this.#boundary.id}`,
          timeoutMs: REACH_MS,
          intervalMs: LOOK_MS,
        });
    } finally {
      flow.abort();
      await flowing;
    }
  }

  async #flow(signal: AbortSignal, pauseMs: number): Promise<void> {
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    while (!signal.aborted) {
      if (this.#boundary.rebalance === true) await this.#rebalance(signal);
      else await this.#publishRound();
      await delay(ROUND_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** While a round of events comes in: workers that had all partitions have to give some away. */
  async #rebalance(signal: AbortSignal): Promise<void> {
    await this.#guest.leave();
    for (let look = 0; look < ALONE_LOOKS && !this.#haveAll() && !signal.aborted; look += 1)
      await delay(ALONE_LOOK_MS);
    await this.#publishRound();
    this.#plan.arm();
    await this.#guest.join();
  }

  #haveAll(): boolean {
    const had = [...this.#running.values()].map((worker) => partitionsOf(worker));
    return had.reduce((sum, count) => sum + count, 0) === SOURCE_PARTITIONS;
  }

  /** The one that died comes back: at once, or when the others have taken over all there was. */
  async #replace(index: number): Promise<void> {
    const pid = this.#plan.reachedBy(index);
    const [name, victim] = [...this.#running].find(([, worker]) => worker.pid === pid) ?? [];
    if (name === undefined || victim === undefined)
      throw new Error(`nobody has the process id ${String(pid)}`);
    const { signal, code } = await victim.waitForExit();
    if (signal !== 'SIGKILL') throw new Error(`${name} ended with ${String(code ?? signal)}, not by SIGKILL`);
    this.#running.delete(name);
    if (this.#takesOver) {
      this.#world.standin.clearFaults();
      await this.#guest.leave();
      await this.#publishRound();
      await this.#settled(['names in doubt', 'names being written']);
    }
    this.#start(name);
  }

  async #settled(except: Parameters<typeof unsettled>[1] = []): Promise<void> {
    const input = this.#world.checkInput({});
    let open: readonly string[] = ['everything'];
    const look = async (): Promise<boolean> => {
      open = [...(await unsettled(input, except)), ...(except.length === 0 ? await this.#undeleted() : [])];
      return open.length === 0;
    };
    const what = 'everything to be settled';
    await this.#waitFor(look, { what, timeoutMs: SETTLE_MS, intervalMs: 1_000 }).catch((error: unknown) => {
      throw new Error(`${messageOf(error)}; still open: ${open.join(', ')}`, { cause: error });
    });
  }

  /** Where it is about deletions, they have to come to their end; and all secrets to their new manager. */
  async #undeleted(): Promise<string[]> {
    const { id, migrates = false } = this.#boundary;
    if (!migrates && !id.startsWith('delete/')) return [];
    const sql = `SELECT COUNT(*) AS n FROM stored_secret WHERE state IN ('retired', 'deleting')`;
    const [row] = await queryDatabase({ url: this.#world.databaseUrl }, sql);
    const elsewhere = migrates ? await this.#elsewhere() : [];
    return [...(Number(row?.['n']) > 0 ? [`${Number(row?.['n'])} secrets to be deleted`] : []), ...elsewhere];
  }

  async #elsewhere(): Promise<string[]> {
    const of = [...this.#running.keys()].includes('worker-0') ? 'managed-aws' : this.#manager;
    const sql = `SELECT COUNT(*) AS n FROM stored_secret WHERE state = 'live' AND manager <> '${of}'`;
    const [row] = await queryDatabase({ url: this.#world.databaseUrl }, sql);
    return Number(row?.['n']) > 0 ? [`${Number(row?.['n'])} secrets to be moved`] : [];
  }

  async #stop(): Promise<void> {
    for (const [name, worker] of this.#running) {
      // One that came back late may have had nothing to do, and not even be there yet.
      await worker.waitForLine('"msg":"started"', { timeoutMs: START_MS });
      const { code, signal } = await worker.stop(START_MS);
      if (code !== 0)
        throw new Error(`${name} ended with ${String(code ?? signal)} when it was told to stop`);
    }
    this.#running.clear();
  }

  /** {@link waitFor}; fails at once where a worker has ended that nobody has ended. */
  #waitFor<T>(look: () => T | Promise<T>, options: WaitOptions): ReturnType<typeof waitFor<T>> {
    return waitFor(() => {
      this.#requireRunning();
      return look();
    }, options);
  }

  #requireRunning(): void {
    const planned = new Set(this.#plan.kills.map((_, index) => this.#plan.reachedBy(index)));
    for (const [name, worker] of this.#running)
      if (!worker.running && !planned.has(worker.pid))
        throw new HopelessError(
          `${name} ended by itself\n${worker.stdout().split('\n').slice(-6).join('\n')}${worker.stderr()}`,
        );
  }

  logs(): Record<string, string> {
    return Object.fromEntries(
      this.#all.map(({ name, worker }, index) => [
        `process ${index + 1} (${name})`,
        worker.stdout() + worker.stderr(),
      ]),
    );
  }
}

/** What it was last given. */
function partitionsOf(worker: TestProcess | undefined): number {
  const joined = (worker?.stdout() ?? '').match(/"partitions":\d+[^\n]*"joined the group"/g)?.at(-1);
  return Number(/\d+/.exec(joined ?? '')?.[0] ?? 0);
}
