import { WorkerError } from '../errors.js';
import { pause } from '../pause.js';

interface WaitHooks {
  readonly signal: AbortSignal;
  readonly onFailure: (error: WorkerError) => void;
}

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;

/**
 * Start-up waits for what is not there yet: `work` again and again while it fails with a `transient` WorkerError.
 * @returns null where the wait was ended by the signal
 */
export async function untilAvailable<T>(
  work: () => Promise<T>,
  { signal, onFailure }: WaitHooks,
): Promise<T | null> {
  for (let delayMs = FIRST_DELAY_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof WorkerError && error.retryable)) throw error;
      onFailure(error);
      await pause(delayMs * (0.5 + Math.random() / 2), signal);
    }
  }
  return null;
}
