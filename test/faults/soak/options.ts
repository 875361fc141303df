import { parseArgs } from 'node:util';
import type { DatabaseEngine } from '../../harness/index.js';

export interface SoakOptions {
  /** How long events are published and things go wrong; what is left over then is worked off in peace. */
  readonly minutes: number;
  readonly events: number;
  readonly connections: number;
  /** Of events and faults; how far a process is when one strikes is the machine's. */
  readonly seed: number;
  readonly database: Exclude<DatabaseEngine, 'sqlite'>;
  readonly manager: 'managed-aws' | 'managed-aws-ssm';
  /** Processes at the same time, one of them a steady one that nobody kills: its memory is what is measured. */
  readonly workers: number;
  /** How long the worker may take for one claim and one request, milliseconds. */
  readonly claimMs: number;
  readonly storeTimeoutMs: number;
  /** What is left over takes as long as it takes, but nothing may stand still for so long, seconds. */
  readonly stuckSeconds: number;
  /** Pause between two faults, milliseconds: from, to. */
  readonly pauseMs: readonly [number, number];
}

export interface CommandOptions extends SoakOptions {
  /** Repetitions of the whole kill matrix afterwards; 0: none. */
  readonly matrixRepeat: number;
  /** Whether a good run's summary goes into docs/test-runs.md. */
  readonly record: boolean;
}

export const DEFAULTS: Omit<SoakOptions, 'seed'> = {
  minutes: 20,
  events: 200_000,
  connections: 20_000,
  database: 'postgres',
  manager: 'managed-aws',
  workers: 3,
  claimMs: 15_000,
  storeTimeoutMs: 5_000,
  stuckSeconds: 300,
  pauseMs: [2_000, 6_000],
};

export const USAGE = `npm run soak -- [options]

  --minutes N        how long events are published and things go wrong (${DEFAULTS.minutes})
  --events N         source events (${DEFAULTS.events})
  --connections N    connections they are of (${DEFAULTS.connections})
  --seed N           of events and faults (by the clock)
  --database NAME    postgres or mariadb (${DEFAULTS.database})
  --manager NAME     managed-aws or managed-aws-ssm (${DEFAULTS.manager})
  --workers N        processes (${DEFAULTS.workers})
  --matrix-repeat N  repetitions of the whole kill matrix afterwards, 0 for none (5)
  --record           a good run's figures go into docs/test-runs.md, in place of the last ones
`;

/** @throws TypeError naming the option that is wrong */
export function parseOptions(args: readonly string[]): CommandOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      events: { type: 'string' },
      connections: { type: 'string' },
      seed: { type: 'string' },
      database: { type: 'string' },
      manager: { type: 'string' },
      workers: { type: 'string' },
      'matrix-repeat': { type: 'string' },
      record: { type: 'boolean' },
    },
  });
  return {
    ...DEFAULTS,
    minutes: positive('minutes', values.minutes, DEFAULTS.minutes),
    events: positive('events', values.events, DEFAULTS.events),
    connections: positive('connections', values.connections, DEFAULTS.connections),
    seed: positive('seed', values.seed, Date.now() % 1_000_000),
    workers: positive('workers', values.workers, DEFAULTS.workers),
    database: oneOf('database', values.database, ['postgres', 'mariadb']),
    manager: oneOf('manager', values.manager, ['managed-aws', 'managed-aws-ssm']),
    matrixRepeat: values['matrix-repeat'] === '0' ? 0 : positive('matrix-repeat', values['matrix-repeat'], 5),
    record: values.record === true,
  };
}

function positive(name: string, given: string | undefined, standard: number): number {
  const number = given === undefined ? standard : Number(given);
  if (!(number > 0)) throw new TypeError(`--${name} takes a number above 0`);
  return number;
}

/** The first one is the default. */
function oneOf<T extends string>(name: string, given: string | undefined, known: readonly [T, ...T[]]): T {
  const found = given === undefined ? known[0] : known.find((one) => one === given);
  if (found === undefined) throw new TypeError(`--${name} takes ${known.join(' or ')}`);
  return found;
}
