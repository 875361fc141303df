import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after `ms` milliseconds, or once the signal is aborted: the caller checks it. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
