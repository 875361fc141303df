import { freshName } from './tmp-dir.js';
import { ManualClock } from './manual-clock.js';
import { SharedLimiter, type ChangeShares } from '../../src/secrets-managers/shared-limiter.js';

/** Milliseconds of the clock between two looks at whether an answer is awaited. */
const STEP_MS = 10;
/** How long the store takes for a write, milliseconds of the clock. */
const WRITE_MS = 50;

export interface FleetWorker {
  readonly limiter: SharedLimiter;
  /** Errors of its heartbeat. */
  readonly failures: unknown[];
  /** How many of its writes the store has carried out so far. */
  readonly written: number;
  /** Ends like a killed process: it neither asks nor gives anything back. */
  kill(): void;
}

export interface FleetWorkerOptions {
  readonly changeShares: ChangeShares;
  readonly writesPerSecond?: number;
  /** So many writes are under way at a time, one after the other without a pause. Default: none. */
  readonly lanes?: number;
}

/** Workers that write to one store with a quota, on one clock that stands until it is moved. */
export class WriteFleet {
  readonly clock = new ManualClock();
  readonly quota: number;
  /** Writes that the store has not carried out, as they were more than its quota. */
  throttles = 0;
  written = 0;
  #tokens: number;
  #filledAtMs = 0;
  #answersAwaited = 0;

  /** @param quota of the store: so many writes a second, and a second's worth of them at once */
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

  /** Moves the clock on; it stands while an answer of the database is awaited. */
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
