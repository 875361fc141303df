import { WorkerError } from '../errors.js';
import type { FailureLog, Logger, Metrics } from '../observability/index.js';
import type { MigrationCounts } from '../upkeep/rest.js';
import type { PeriodicTask } from './periodic.js';
import type { Worker } from './worker.js';

const MIGRATION_EVERY_MS = 2_000;
const PROGRESS_EVERY_MS = 10_000;

interface MigrationTaskParts {
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'migrated'>;
  readonly failures: Pick<FailureLog, 'failed'>;
}

/** Moves connections to the active manager, beside the events, and reports the progress. */
export function migrationTask(
  { migration, manager }: Pick<Worker, 'migration' | 'manager'>,
  { logger, metrics, failures }: MigrationTaskParts,
): PeriodicTask {
  const { name: to } = manager;
  let moved = 0;
  let loggedAtMs = -Infinity;
  const report = (counts: MigrationCounts): void => {
    const { remaining } = counts;
    moved += counts.moved;
    metrics.migrated({ remaining, moved: counts.moved, failed: counts.failures.length });
    // The log names the first failure of each kind and counts the others: `migrate-secrets --dry-run` lists them all.
    for (const { connectionId, code, detail } of counts.failures)
      failures.failed('a connection cannot be moved yet', new WorkerError(code, detail), { connectionId });
    const isOver = migration.isDone && moved > 0;
    const isTime = counts.moved > 0 && performance.now() - loggedAtMs > PROGRESS_EVERY_MS;
    if (!isOver && !isTime) return;
    loggedAtMs = performance.now();
    logger.info({ to, moved, remaining }, isOver ? 'secrets moved' : 'moving secrets');
  };
  return {
    name: 'migration',
    everyMs: MIGRATION_EVERY_MS,
    // Once done it stays done: nothing can be committed under another manager any more.
    run: async (signal) => {
      for (let isPass = migration.isDone; !isPass && !signal.aborted;) {
        const counts = await migration.round(signal);
        report(counts);
        isPass = counts.isPass;
      }
    },
  };
}
