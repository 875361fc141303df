import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after so long, or as soon as the signal says to stop: the caller looks at it anyway. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
