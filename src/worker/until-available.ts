import { WorkerError } from '../errors.js';
import { pause } from '../pause.js';

interface WaitHooks {
  readonly signal: AbortSignal;
  readonly onFailure: (error: WorkerError) => void;
}

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;

/**
 * For the start: tries `work` again, after growing pauses, while it fails with a `transient` WorkerError.
 * @throws the reason of `signal` once that is aborted; any other error of `work`
 */
export async function untilAvailable<T>(
  work: () => Promise<T>,
  { signal, onFailure }: WaitHooks,
): Promise<T> {
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof WorkerError && error.retryable)) throw error;
      onFailure(error);
      await pause(delayMs * (0.5 + Math.random() / 2), signal);
    }
  }
}
