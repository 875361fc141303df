import type { SourceConsumerState } from '../../consumers/source-events.js';
import { WorkerError } from '../errors.js';
import { checkStore } from '../secrets-managers/check-store.js';
import type { SecretStore } from '../secrets-managers/port.js';
import { withDeadline } from '../with-deadline.js';
import type { PeriodicTask } from './periodic.js';
import type { Part, Readiness } from './readiness.js';

interface CheckParts {
  readonly readiness: Readiness;
  pingDatabase(): Promise<void>;
  pingBroker(deadlineMs: number): Promise<void>;
  readonly store: SecretStore;
  consumer(): SourceConsumerState;
  /** Told how many partitions are paused because a record fails. */
  onPaused(count: number): void;
}

const DEADLINE_MS = 5_000;
const CHECK_EVERY_MS = 5_000;
const CONSUMER_EVERY_MS = 500;
/** A check of a cloud store is a request that costs money. */
const STORE_EVERY_MS = 30_000;

/** The background checks behind `/readyz`. Each has a deadline, and none rejects. */
export function readinessChecks(parts: CheckParts): readonly PeriodicTask[] {
  const { readiness, store } = parts;
  let storeCheckedAtMs = Number.NEGATIVE_INFINITY;
  return [
    task('check-database', CHECK_EVERY_MS, () =>
      look(readiness, 'database', () =>
        withDeadline(
          () => parts.pingDatabase(),
          DEADLINE_MS,
          () => late('DATABASE_UNAVAILABLE'),
        ),
      ),
    ),
    task('check-broker', CHECK_EVERY_MS, () =>
      look(readiness, 'broker', () =>
        withDeadline(
          () => parts.pingBroker(DEADLINE_MS),
          DEADLINE_MS * 2,
          () => late('BROKER_UNAVAILABLE'),
        ),
      ),
    ),
    task('check-store', CHECK_EVERY_MS, async () => {
      const isDue = performance.now() - storeCheckedAtMs >= STORE_EVERY_MS;
      if (!isDue && readiness.stateOf('store') === 'up') return;
      storeCheckedAtMs = performance.now();
      await look(readiness, 'store', () => checkStore(store));
    }),
    task('check-consumer', CONSUMER_EVERY_MS, async () => {
      const { joined, failing } = parts.consumer();
      parts.onPaused(failing.length);
      const [first] = failing;
      if (first !== undefined) readiness.down('consumer', first.code);
      else if (joined) readiness.up('consumer');
      else if (readiness.stateOf('consumer') !== 'starting') readiness.down('consumer', 'BROKER_UNAVAILABLE');
    }),
  ];
}

function task(name: string, everyMs: number, run: () => Promise<void>): PeriodicTask {
  return { name, everyMs, run };
}

async function look(readiness: Readiness, part: Part, check: () => Promise<unknown>): Promise<void> {
  try {
    await check();
    readiness.up(part);
  } catch (error) {
    readiness.down(part, error instanceof WorkerError ? error.code : 'INTERNAL');
  }
}

function late(code: 'DATABASE_UNAVAILABLE' | 'BROKER_UNAVAILABLE'): WorkerError {
  return new WorkerError(code, `no answer within ${DEADLINE_MS} ms`);
}
