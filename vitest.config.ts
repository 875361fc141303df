import { defineConfig } from 'vitest/config';

interface Suite {
  readonly name: string;
  readonly folders: readonly string[];
  /** Suites of one order run together, a lower order runs first. */
  readonly order: number;
  /** Files at the same time. */
  readonly workers: number;
  readonly timeoutMs: number;
  /** Whether the real servers are started for it. */
  readonly parts: boolean;
}

/** Sized for two cores: what starts processes of its own and measures time runs alone. */
const SUITES: readonly Suite[] = [
  { name: 'unit', folders: ['unit', 'model'], order: 0, workers: 2, timeoutMs: 20_000, parts: false },
  { name: 'fuzz', folders: ['fuzz'], order: 0, workers: 2, timeoutMs: 20_000, parts: false },
  { name: 'conformance', folders: ['conformance'], order: 0, workers: 2, timeoutMs: 60_000, parts: true },
  { name: 'integration', folders: ['integration'], order: 1, workers: 2, timeoutMs: 60_000, parts: true },
  { name: 'e2e', folders: ['e2e'], order: 2, workers: 2, timeoutMs: 120_000, parts: true },
  { name: 'faults', folders: ['faults'], order: 3, workers: 1, timeoutMs: 180_000, parts: true },
];

export default defineConfig({
  test: {
    projects: SUITES.map(({ name, folders, order, workers, timeoutMs, parts }) => ({
      test: {
        name,
        include: folders.map((folder) => `test/${folder}/**/*.test.ts`),
        sequence: { groupOrder: order },
        maxWorkers: workers,
        testTimeout: timeoutMs,
        hookTimeout: 180_000,
        setupFiles: ['test/harness/setup-file.ts'],
        ...(parts ? { globalSetup: ['test/harness/global-setup.ts'] } : {}),
      },
    })),
  },
});
