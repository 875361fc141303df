import { WorkerError } from '../errors.js';
import type { SecretStore } from './port.js';

const DEADLINE_MS = 5_000;

/** Reachable and permitted; rejects with the store's own code within the deadline. */
export async function checkStore(store: SecretStore): Promise<string> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const result = await store.check({ signal, admitWrite: refuseWrite });
  if (result.ok) return result.value.detail;
  const late = signal.aborted ? `no answer within ${DEADLINE_MS} ms: ` : '';
  throw new WorkerError(result.error.code, `${late}${result.error.message}`);
}

/** For calls that only read. */
export function refuseWrite(): Promise<void> {
  return Promise.reject(new WorkerError('INTERNAL', 'a call that only reads was to write'));
}
