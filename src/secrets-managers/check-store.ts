import { WorkerError } from '../errors.js';
import { withDeadline } from '../with-deadline.js';
import type { SecretStore } from './port.js';

const DEADLINE_MS = 5_000;

/** Reachable and permitted; rejects with the store's own code within the deadline. */
export async function checkStore(store: SecretStore): Promise<string> {
  const result = await withDeadline(
    (signal) => store.check({ signal, admitWrite: refuseWrite }),
    DEADLINE_MS,
    () => new WorkerError('STORE_UNAVAILABLE', `no answer within ${DEADLINE_MS} ms`),
  );
  if (result.ok) return result.value.detail;
  throw new WorkerError(result.error.code, result.error.message);
}

/** For calls that only read. */
export function refuseWrite(): Promise<void> {
  return Promise.reject(new WorkerError('INTERNAL', 'a call that only reads was to write'));
}
