import { writeSync } from 'node:fs';
import type { Config } from '../config.js';
import { EXIT } from './cli.js';

export interface StopSignals {
  /** Aborted by the first SIGTERM or SIGINT. */
  readonly signal: AbortSignal;
  /** Gives the signals back to Node.js. */
  release(): void;
}

/**
 * The first SIGTERM or SIGINT asks the work to stop. A second one, or `deadlineMs` after the first, ends the process at
 * once with code 1. Nothing is lost by that: what is unfinished comes again.
 */
export function stopSignals(deadlineMs: number | null): StopSignals {
  const controller = new AbortController();
  let deadline: NodeJS.Timeout | undefined;
  const onSignal = (): void => {
    if (controller.signal.aborted) return endNow('ended by a second signal');
    controller.abort();
    if (deadlineMs === null) return;
    deadline = setTimeout(() => endNow('not stopped in time'), deadlineMs);
    deadline.unref();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(deadline);
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
    },
  };
}

/** What a stop may take besides its grace: leaving the group, closing connections. */
const CLOSE_MS = 10_000;

/** How long a stop may take before the process ends at once. */
export function stopDeadlineMs({ worker }: Config): number {
  return worker.shutdownGraceMs + CLOSE_MS;
}

/** Runs work that the first signal asks to stop. */
export async function untilStopped<T>(
  work: (signal: AbortSignal) => Promise<T>,
  deadlineMs: number | null = null,
): Promise<T> {
  const stop = stopSignals(deadlineMs);
  try {
    return await work(stop.signal);
  } finally {
    stop.release();
  }
}

function endNow(msg: string): never {
  try {
    writeSync(2, `${JSON.stringify({ level: 'fatal', time: new Date().toISOString(), msg })}\n`);
  } catch {
    // Nobody reads it.
  }
  process.exit(EXIT.failed);
}
