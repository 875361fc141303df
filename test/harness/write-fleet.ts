import { freshName } from './tmp-dir.js';
import { ManualClock } from './manual-clock.js';
import { SharedLimiter, type ChangeShares } from '../../src/secrets-managers/shared-limiter.js';

/** The step in which `run` moves the clock, milliseconds. */
const STEP_MS = 10;
/** How long the store takes for a write, milliseconds of the clock. */
const WRITE_MS = 50;

interface FleetWorker {
  readonly limiter: SharedLimiter;
  /** The errors of its heartbeat. */
  readonly failures: unknown[];
  /** How many of its writes the store has carried out so far. */
  readonly written: number;
  /** Ends it like a killed process: it asks for nothing and releases nothing. */
  kill(): void;
}

interface FleetWorkerOptions {
  readonly changeShares: ChangeShares;
  readonly writesPerSecond?: number;
  /** How many writes it has under way all the time. Default: none. */
  readonly lanes?: number;
}

/** Workers that write to one store with a quota, on one clock that stands still until a test moves it. */
export class WriteFleet {
  readonly clock = new ManualClock();
  readonly quota: number;
  /** How many writes the store has refused because they were over its quota. */
  throttles = 0;
  written = 0;
  #tokens: number;
  #filledAtMs = 0;
  #answersAwaited = 0;

  /** @param quota the store's quota: writes per second, and how many of them may come at once */
  constructor(quota: number) {
    this.quota = quota;
    this.#tokens = quota;
  }

  worker({ changeShares, writesPerSecond = this.quota, lanes = 0 }: FleetWorkerOptions): FleetWorker {
    let isKilled = false;
    let written = 0;
    const failures: unknown[] = [];
    const limiter = new SharedLimiter({
      writesPerSecond,
      process: freshName('worker'),
      changeShares: async (change) => {
        // A killed worker gets no answer.
        if (isKilled) return new Promise(() => undefined);
        this.#answersAwaited += 1;
        try {
          return await changeShares(change);
        } finally {
          this.#answersAwaited -= 1;
        }
      },
      onFailure: (error) => failures.push(error),
      nowMs: this.clock.now,
      schedule: this.clock.schedule,
    });
    const killed = new AbortController();
    const lane = (): void => {
      limiter.acquire(killed.signal).then(
        () => {
          if (this.#carriesOut()) written += 1;
          else limiter.throttled();
          this.clock.schedule(lane, WRITE_MS);
        },
        () => undefined,
      );
    };
    for (let count = 0; count < lanes; count += 1) lane();
    return {
      limiter,
      failures,
      get written() {
        return written;
      },
      kill: () => {
        isKilled = true;
        killed.abort();
      },
    };
  }

  /** Moves the clock on. It stands still while a worker waits for an answer of the database. */
  async run(durationMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += STEP_MS) {
      await this.clock.advance(STEP_MS);
      do await new Promise((resolve) => setImmediate(resolve));
      while (this.#answersAwaited > 0);
    }
  }

  #carriesOut(): boolean {
    const nowMs = this.clock.now();
    const earned = (this.quota * (nowMs - this.#filledAtMs)) / 1_000;
    this.#tokens = Math.min(this.quota, this.#tokens + earned);
    this.#filledAtMs = nowMs;
    const isWithin = this.#tokens >= 1 - 1e-6;
    if (isWithin) {
      this.#tokens -= 1;
      this.written += 1;
    } else this.throttles += 1;
    return isWithin;
  }
}
