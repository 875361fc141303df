import type { SourceConsumerState } from '../../consumers/source-events.js';
import { WorkerError } from '../errors.js';
import { checkStore } from '../secrets-managers/check-store.js';
import type { SecretStore } from '../secrets-managers/port.js';
import { withDeadline } from '../with-deadline.js';
import type { PeriodicTask } from './periodic.js';
import { codeOf, type Part, type Readiness } from './readiness.js';

interface CheckParts {
  readonly readiness: Readiness;
  pingDatabase(): Promise<void>;
  pingBroker(deadlineMs: number): Promise<void>;
  readonly store: SecretStore;
  consumer(): SourceConsumerState;
  /** How many partitions are held. */
  onPaused(count: number): void;
}

const DEADLINE_MS = 5_000;
const CHECK_EVERY_MS = 5_000;
const CONSUMER_EVERY_MS = 500;
/** Each look at a cloud store is a request that is paid for. */
const STORE_EVERY_MS = 30_000;

/** The looks behind `/readyz`: each one bounded, none of them ever fails. */
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
    readiness.down(part, codeOf(error));
  }
}

function late(code: 'DATABASE_UNAVAILABLE' | 'BROKER_UNAVAILABLE'): WorkerError {
  return new WorkerError(code, `no answer within ${DEADLINE_MS} ms`);
}
