import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

interface Suite {
  readonly name: string;
  /** Of test/; or a file in one, without its ending, which then is no other suite's. */
  readonly folders: readonly string[];
  /** Suites of one order run together, a lower order runs first. */
  readonly order: number;
  /** Files at the same time. */
  readonly workers: number;
  readonly timeoutMs: number;
  /** Whether the real servers are started for it. */
  readonly parts: boolean;
}

/** Sized for two cores: one file for each where tests compute, more where they wait for servers and workers. */
const SUITES: readonly Suite[] = [
  { name: 'unit', folders: ['unit', 'model'], order: 0, workers: 2, timeoutMs: 60_000, parts: false },
  { name: 'fuzz', folders: ['fuzz'], order: 0, workers: 2, timeoutMs: 60_000, parts: false },
  { name: 'components', folders: ['components'], order: 0, workers: 2, timeoutMs: 60_000, parts: false },
  { name: 'conformance', folders: ['conformance'], order: 0, workers: 2, timeoutMs: 60_000, parts: true },
  { name: 'integration', folders: ['integration'], order: 1, workers: 3, timeoutMs: 60_000, parts: true },
  { name: 'long', folders: ['long'], order: 2, workers: 3, timeoutMs: 120_000, parts: true },
  { name: 'e2e', folders: ['e2e'], order: 2, workers: 3, timeoutMs: 120_000, parts: true },
  { name: 'faults', folders: ['faults'], order: 3, workers: 2, timeoutMs: 180_000, parts: true },
  // Eight worlds at a time in the one file.
  { name: 'kills', folders: ['faults/kills'], order: 4, workers: 1, timeoutMs: 180_000, parts: true },
];

/** A file that takes minutes and begins last lets the other workers of its suite idle: these begin first. */
const LONG_FILES = [
  'fuzz/records',
  'fuzz/envelopes',
  'fuzz/thief',
  'long/service/purge',
  'long/purge',
  'long/migration',
  'long/replay',
  'long/many-events',
  'long/flood',
  'faults/zombies',
  'faults/soak-short',
  'faults/outages/broker',
  'faults/outages/database',
  'faults/start-stop',
];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = LONG_FILES.findIndex((name) => moduleId.includes(`/test/${name}`));
      return found < 0 ? LONG_FILES.length : found;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Of a test's time, what one wait in it may take that says nothing else. */
const PATIENCE = 3 / 4;

/** Files of test/ that are a suite of their own. */
const FILES = SUITES.flatMap(({ folders }) => folders.filter((folder) => folder.includes('/')));

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    projects: SUITES.map(({ name, folders, order, workers, timeoutMs, parts }) => ({
      test: {
        name,
        include: folders.map((folder) => `test/${folder}${folder.includes('/') ? '' : '/**/*'}.test.ts`),
        exclude: FILES.filter((file) => !folders.includes(file)).map((file) => `test/${file}.test.ts`),
        sequence: { groupOrder: order },
        maxWorkers: workers,
        testTimeout: timeoutMs,
        hookTimeout: 180_000,
        env: { TEST_PATIENCE_MS: String(timeoutMs * PATIENCE) },
        setupFiles: ['test/harness/setup-file.ts'],
        ...(parts ? { globalSetup: ['test/harness/global-setup.ts'] } : {}),
      },
    })),
  },
});
