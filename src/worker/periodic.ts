import { WorkerError } from '../errors.js';

export interface PeriodicTask {
  /** For logs and metrics. */
  readonly name: string;
  /** From the end of one run to the beginning of the next, give or take a tenth. */
  readonly everyMs: number;
  /** Must end soon after the signal is aborted. */
  run(signal: AbortSignal): Promise<unknown>;
}

interface PeriodicHooks {
  onSuccess?(task: string): void;
  /** A `transient` error: the task runs again, after a growing pause. */
  onFailure(task: string, error: WorkerError): void;
  /** Any other error: the task has ended, and the process must end. */
  onFatal(task: string, error: unknown): void;
}

const LONGEST_BACKOFF_MS = 30_000;
const SHORTEST_BACKOFF_MS = 250;
const JITTER = 0.1;

/**
 * Runs one task again and again, never twice at the same time. After a `transient` WorkerError it pauses with exponential
 * back-off (full jitter, about 30 s at most). Any other error ends it.
 */
export class Periodic {
  readonly #task: PeriodicTask;
  readonly #hooks: PeriodicHooks;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #isTriggered = false;

  constructor(task: PeriodicTask, hooks: PeriodicHooks) {
    this.#task = task;
    this.#hooks = hooks;
  }

  /** The first run begins at once. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Runs the task at once, or right after the present run. Cuts a back-off short as well. */
  trigger(): void {
    this.#isTriggered = true;
    this.#wake?.();
  }

  /** Aborts the present run and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      this.#isTriggered = false;
      try {
        await this.#task.run(signal);
        failures = 0;
        this.#hooks.onSuccess?.(this.#task.name);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof WorkerError && error.retryable)) {
          this.#hooks.onFatal(this.#task.name, error);
          return;
        }
        failures += 1;
        this.#hooks.onFailure(this.#task.name, error);
      }
      await this.#pause(failures === 0 ? jittered(this.#task.everyMs) : this.#backoffMs(failures));
    }
  }

  #backoffMs(failures: number): number {
    const base = Math.max(SHORTEST_BACKOFF_MS, this.#task.everyMs);
    const highest = Math.max(base, Math.min(LONGEST_BACKOFF_MS, base * 2 ** Math.min(failures, 20)));
    return SHORTEST_BACKOFF_MS + Math.random() * highest;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isTriggered || this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}

function jittered(ms: number): number {
  return ms * (1 - JITTER + Math.random() * 2 * JITTER);
}
