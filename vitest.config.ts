import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { filesOf, rankOf, shardOf, suitesIn, type Suite, type Tier } from './test/suites.js';

/** `npm test` and its sisters say it; without it there are all suites, at full size. */
const TIER = (process.env['TEST_TIER'] ?? 'all') as Tier;
const IS_SMALL = TIER === 'quick' || process.env['TEST_SMALL'] === '1';

/** A size that somebody asks for by its variable is kept. */
function sizesOf(suite: Suite): Record<string, string> {
  const sizes = Object.entries(IS_SMALL ? (suite.small?.env ?? {}) : {});
  return Object.fromEntries(sizes.filter(([name]) => process.env[name] === undefined));
}

const nameOf = ({ moduleId }: TestSpecification): string => relative(import.meta.dirname, moduleId);

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rankOf(nameOf(a)) - rankOf(nameOf(b)));
  }

  override async shard(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { shard } = this.ctx.config;
    if (shard === undefined) return files;
    // Inherited by the processes that run the files: the kill matrix takes its part by it.
    process.env['TEST_SHARD'] = `${shard.index}/${shard.count}`;
    return shardOf(files, nameOf, shard);
  }
}

/** Of a test's time, what one wait in it may take that says nothing else. */
const PATIENCE = 3 / 4;

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    // Of what tests import: what a process of its own runs is not counted. `npm test` prints the figure.
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['json-summary'],
      reportsDirectory: '.tmp/coverage',
      reportOnFailure: true,
    },
    projects: suitesIn(TIER).map((suite) => ({
      test: {
        name: suite.name,
        ...filesOf(suite),
        sequence: { groupOrder: suite.order },
        maxWorkers: suite.workers,
        testTimeout: suite.timeoutMs,
        hookTimeout: 180_000,
        env: { ...sizesOf(suite), TEST_PATIENCE_MS: String(suite.timeoutMs * PATIENCE) },
        setupFiles: [suite.parts ? 'test/harness/setup-file-with-parts.ts' : 'test/harness/setup-file.ts'],
        ...(suite.parts ? { globalSetup: ['test/harness/global-setup.ts'] } : {}),
      },
    })),
  },
});
