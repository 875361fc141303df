// Which test file belongs to which suite, and which suite to which tier. This is the one place that says it.

export type Tier = 'quick' | 'faults' | 'all';

export interface Suite {
  readonly name: string;
  /** A folder of test/; or a file in one, without its ending, which then is no other suite's. */
  readonly path: string;
  /** `quick`: of `npm test`. `faults`: of `npm run test:faults`. `npm run test:all` has both. */
  readonly tier: 'quick' | 'faults';
  /** Suites of one order run together, a lower order runs first. */
  readonly order: number;
  /** Files at the same time. */
  readonly workers: number;
  readonly timeoutMs: number;
  /** Whether its files need Kafka, PostgreSQL, MariaDB or moto: these start when the first of its files does. */
  readonly parts: boolean;
  /** A suite that `npm test` runs smaller, by these variables; its full size is of the tier `faults` then. */
  readonly small?: { readonly env: Readonly<Record<string, string>>; readonly leavesOut: string };
}

const COMPUTES = { tier: 'quick', order: 0, workers: 2, timeoutMs: 60_000, parts: false } as const;
const WAITS = { tier: 'quick', order: 1, workers: 3, timeoutMs: 60_000, parts: true } as const;
const LONG = { ...WAITS, tier: 'faults', order: 3 } as const;

/** Sized for two cores: one file for each where tests compute, more where they wait for servers and workers. */
export const SUITES: readonly Suite[] = [
  { ...COMPUTES, name: 'unit', path: 'unit' },
  {
    ...COMPUTES,
    name: 'model',
    path: 'model',
    small: { env: { TEST_MODEL_FAULTS: '1' }, leavesOut: 'the second fault of the model' },
  },
  {
    ...COMPUTES,
    name: 'fuzz',
    path: 'fuzz',
    small: { env: { TEST_FUZZ: '0.1' }, leavesOut: 'nine tenths of the fuzzing' },
  },
  { ...COMPUTES, name: 'components', path: 'components' },
  { ...WAITS, name: 'conformance', path: 'conformance' },
  { ...WAITS, name: 'integration', path: 'integration' },
  { ...WAITS, name: 'e2e', path: 'e2e', order: 2, timeoutMs: 120_000 },
  { ...LONG, name: 'long', path: 'long', timeoutMs: 120_000 },
  { ...LONG, name: 'faults', path: 'faults', order: 4, workers: 2, timeoutMs: 180_000 },
  // Eight worlds at a time in the one file.
  { ...LONG, name: 'kills', path: 'faults/kills', order: 5, workers: 1, timeoutMs: 180_000 },
];

/** A file that takes minutes and begins last lets the other workers of its suite idle: these begin first. */
const LONG_FILES = [
  'long/kubernetes',
  'fuzz/records',
  'fuzz/envelopes',
  'fuzz/thief',
  'long/service/purge',
  'long/purge',
  'long/migration',
  'long/replay',
  'long/flood',
  'long/record-costs',
  'faults/zombies',
  'faults/soak-short',
  'faults/outages/broker',
  'faults/outages/database',
  'faults/start-stop',
];

/** Of test/, as Vitest takes them: files that a suite has, and those in its folder that are another suite's. */
export function filesOf({ path }: Suite): { include: string[]; exclude: string[] } {
  const within = SUITES.filter((other) => other.path.startsWith(`${path}/`));
  return { include: [pattern(path)], exclude: within.map((other) => pattern(other.path)) };
}

function pattern(path: string): string {
  return `test/${path}${path.includes('/') ? '' : '/**/*'}.test.ts`;
}

/** All suites that have this file (`test/…`): one, or the file is in the wrong place. */
export function suitesOf(file: string): readonly Suite[] {
  const path = file.slice('test/'.length, -'.test.ts'.length);
  return SUITES.filter(
    (suite) =>
      (path === suite.path || path.startsWith(`${suite.path}/`)) &&
      !SUITES.some((other) => other.path === path && other !== suite),
  );
}

/** A suite in both tiers is small in the first. */
export function suitesIn(tier: Tier): readonly Suite[] {
  return SUITES.filter(
    (suite) => tier === 'all' || suite.tier === tier || (tier === 'faults' && suite.small !== undefined),
  );
}

/** What this tier leaves out of all there is, in words. `files`: all test files. */
export function leftOut(tier: Tier, files: readonly string[]): readonly string[] {
  const within = suitesIn(tier);
  const suites = SUITES.filter((suite) => !within.includes(suite)).map((suite) => {
    const count = files.filter((file) => suitesOf(file).includes(suite)).length;
    return `${suite.name} (${count} ${count === 1 ? 'file' : 'files'})`;
  });
  return [
    ...suites,
    ...(tier === 'quick' ? within.flatMap(({ small }) => small?.leavesOut ?? []) : []),
    ...(tier === 'faults' ? ['the static checks'] : []),
  ];
}

/** Where a file stands among those that begin first; a file that is not among them stands after all. */
export function rankOf(file: string): number {
  const found = LONG_FILES.findIndex((name) => file.includes(`test/${name}`));
  return found < 0 ? LONG_FILES.length : found;
}

/**
 * The files of one shard (`index` from 1): dealt out, those first that take longest. A file that shares its tests out by
 * itself is in every shard.
 */
export function shardOf<T>(
  files: readonly T[],
  nameOf: (file: T) => string,
  { index, count }: { readonly index: number; readonly count: number },
): T[] {
  const isShared = (file: T): boolean => nameOf(file).endsWith('test/faults/kills.test.ts');
  const dealt = files
    .filter((file) => !isShared(file))
    .toSorted((a, b) => rankOf(nameOf(a)) - rankOf(nameOf(b)) || (nameOf(a) < nameOf(b) ? -1 : 1));
  return [...dealt.filter((_, place) => place % count === index - 1), ...files.filter(isShared)];
}
