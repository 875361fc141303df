import { setTimeout as delay } from 'node:timers/promises';
import type { PartHandle } from '../../harness/index.js';
import type { Fault } from '../../harness/aws-standin/faults.js';
import type { Bombs } from './bombs.js';
import type { Losses } from './losses.js';
import type { Random } from './random.js';
import type { StandinControl } from './standin-process.js';
import type { TcpProxy } from './tcp-proxy.js';
import type { WorkerSlot } from './worker-slot.js';

/** What can be hit. */
export interface Targets {
  readonly workers: readonly WorkerSlot[];
  readonly broker: PartHandle;
  readonly database: PartHandle;
  readonly proxy: TcpProxy;
  readonly store: StandinControl;
  readonly bombs: Bombs;
  readonly losses: Losses;
  readonly claimMs: number;
  /** Operations of the store that write. */
  readonly writes: readonly string[];
}

export interface FaultKind {
  readonly name: string;
  /** How often it is picked, compared with others. */
  readonly weight: number;
  /** What it hits: two faults never hit one thing at the same time. */
  readonly target: (targets: Targets, random: Random) => string;
  /** Does it, and undoes it; resolves to what exactly was done. */
  readonly strike: (targets: Targets, target: string, random: Random) => Promise<string>;
}

const STOP_DEADLINE_MS = 30_000;
/** A worker that starts looks at its topics within this time. */
const STARTING_MS = 5_000;
/** The worker gives a late request four claims (docs/architecture.md): what lands within three must do no harm. */
const LATEST_LANDING_CLAIMS = 3;

/** The first worker is the steady one: it is stopped at times, like all, but lives as long as the run. */
const anyWorker = ({ workers }: Targets, random: Random): string => random.pick(workers).name;
const mortalWorker = ({ workers }: Targets, random: Random): string => random.pick(workers.slice(1)).name;
const slotOf = ({ workers }: Targets, name: string): WorkerSlot => {
  const slot = workers.find((worker) => worker.name === name);
  if (slot === undefined) throw new RangeError(`no worker ${name}`);
  return slot;
};

const WORKER_FAULTS: readonly FaultKind[] = [
  {
    name: 'worker killed (SIGKILL)',
    weight: 6,
    target: mortalWorker,
    strike: async (targets, target, random) => {
      const slot = slotOf(targets, target);
      await slot.kill();
      const downMs = random.between(0, 2_000);
      await delay(downMs);
      slot.start();
      return `${target}, back after ${downMs} ms`;
    },
  },
  {
    name: 'worker ended (SIGTERM)',
    weight: 3,
    target: mortalWorker,
    strike: async (targets, target, random) => {
      const slot = slotOf(targets, target);
      const isOrderly = await slot.stop(STOP_DEADLINE_MS);
      // Now and then it is away for long: the others take its partitions over.
      const downMs = random.chance(0.3) ? random.between(5_000, 15_000) : 0;
      await delay(downMs);
      slot.start();
      return `${target}, ${isOrderly ? 'in order' : 'NOT IN TIME'}, back after ${downMs} ms`;
    },
  },
  {
    name: 'worker stopped and continued (SIGSTOP, SIGCONT)',
    weight: 5,
    target: anyWorker,
    strike: async (targets, target, random) => {
      const slot = slotOf(targets, target);
      const forMs = random.between(500, Math.round(targets.claimMs * 1.7));
      slot.suspend();
      await delay(forMs);
      slot.resume();
      return `${target} for ${forMs} ms`;
    },
  },
];

function partFaults(part: 'broker' | 'database'): readonly FaultKind[] {
  const target = (): string => part;
  return [
    {
      name: `${part} restarted`,
      weight: 1,
      target,
      strike: async (targets) => {
        await targets[part].restart();
        return '';
      },
    },
    {
      name: `${part} killed (SIGKILL)`,
      weight: 0.7,
      target,
      strike: async (targets, _target, random) => {
        await targets[part].kill();
        const downMs = random.between(0, 5_000);
        await delay(downMs);
        await targets[part].start();
        return `back after ${downMs} ms`;
      },
    },
    {
      name: `${part} silent (SIGSTOP, SIGCONT)`,
      weight: 0.7,
      target,
      strike: async (targets, _target, random) => {
        const forMs = random.between(500, 8_000);
        targets[part].suspend();
        await delay(forMs);
        targets[part].resume();
        return `for ${forMs} ms`;
      },
    },
  ];
}

const CUTS: FaultKind = {
  name: 'database connections cut',
  weight: 3,
  target: () => 'database',
  strike: async ({ proxy }) => `${proxy.cut()} connections`,
};

/** While the broker is not hit by anything else. */
const BOMB: FaultKind = {
  name: 'a record that unpacks to megabytes',
  weight: 3,
  target: () => 'broker',
  strike: ({ bombs }, _target, random) => bombs.publish(random),
};

const LOSSES: readonly FaultKind[] = [
  {
    name: 'records expire unread',
    weight: 3,
    target: () => 'broker',
    strike: async ({ workers, losses }, _target, random) => {
      const forMs = random.between(1_000, 4_000);
      for (const worker of workers) worker.suspend();
      try {
        await delay(forMs);
        return await losses.expire(random);
      } finally {
        for (const worker of workers) worker.resume();
      }
    },
  },
  {
    name: 'a topic is deleted and created again',
    weight: 2,
    target: () => 'broker',
    strike: async ({ workers, losses }, _target, random) => {
      const before = workers.map(({ ownEnds }) => ownEnds.length);
      const what = await losses.recreate(random);
      await delay(STARTING_MS);
      // Whoever started while the topic was not there has said so and ended: a service manager starts it again.
      for (const [index, worker] of workers.entries())
        if (worker.pardon(before[index] ?? 0, 'code 2')) worker.start();
      return what;
    },
  },
];

const QUOTA: FaultKind = {
  name: 'the store has no room',
  weight: 3,
  target: () => 'store',
  strike: async ({ store }, _target, random) => {
    const forMs = random.between(1_000, 8_000);
    await store.configure({ maxSecrets: 0, maxParameters: 0 });
    await delay(forMs);
    await store.configure({ maxSecrets: 500_000, maxParameters: 500_000 });
    return `for ${forMs} ms`;
  },
};

/** For a while, or so many requests. */
function storeFault(
  name: string,
  weight: number,
  fault: (random: Random, targets: Targets) => Fault,
  times: readonly [number, number],
): FaultKind {
  return {
    name,
    weight,
    target: () => 'store',
    strike: async (targets, _target, random) => {
      const armed = { ...fault(random, targets), times: random.between(...times) };
      const forMs = random.between(500, 5_000);
      await targets.store.during(armed, forMs);
      return `${armed.operation ?? 'any operation'}, at most ${armed.times} requests, ${forMs} ms${
        armed.delayMs === undefined ? '' : `, by ${armed.delayMs} ms`
      }`;
    },
  };
}

const STORE_FAULTS: readonly FaultKind[] = [
  storeFault('store throttles', 3, () => ({ kind: 'error', name: 'ThrottlingException' }), [20, 200]),
  storeFault(
    'store: credentials expired',
    1,
    () => ({ kind: 'error', name: 'ExpiredTokenException' }),
    [5, 50],
  ),
  storeFault('store answers 500', 2, () => ({ kind: 'server-error' }), [5, 50]),
  storeFault('store answers 500, but did it', 3, () => ({ kind: 'server-error-after' }), [5, 50]),
  storeFault('store cuts the connection', 1, () => ({ kind: 'drop' }), [5, 30]),
  storeFault('store cuts the connection, but did it', 2, () => ({ kind: 'drop-after' }), [5, 30]),
  storeFault('store hangs', 1, () => ({ kind: 'hang' }), [2, 20]),
  storeFault('store hangs, but did it', 2, () => ({ kind: 'hang-after' }), [2, 20]),
  storeFault(
    'store answers late',
    1,
    (random) => ({ kind: 'slow-answer', delayMs: random.between(500, 4_000) }),
    [5, 50],
  ),
  storeFault(
    'store carries a write out late',
    4,
    (random, { writes, claimMs }) => ({
      kind: 'delay',
      operation: random.pick(writes),
      delayMs: random.between(500, claimMs * LATEST_LANDING_CLAIMS),
    }),
    [2, 20],
  ),
];

export const FAULT_KINDS: readonly FaultKind[] = [
  ...WORKER_FAULTS,
  ...partFaults('broker'),
  ...partFaults('database'),
  CUTS,
  BOMB,
  ...LOSSES,
  QUOTA,
  ...STORE_FAULTS,
];
