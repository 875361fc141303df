import { setMaxListeners } from 'node:events';

/**
 * Calls back when the signal is aborted; returns what takes that back.
 *
 * One signal serves all lanes of a process, so many listen at the same time: that is no leak, and Node's warning of one
 * at eleven listeners is turned off for it.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
  };
}

/** Under this part of its rate a throttled limiter does not go: it must be able to notice recovery. */
const LOWEST_PART = 1 / 64;
/** A throttle leaves this part of the present rate. */
const KEPT_AFTER_THROTTLE = 0.5;
/** From nothing back to the whole rate takes this long without throttles. */
const FULL_RECOVERY_MS = 60_000;
/** Throttles of requests that were under way together are one signal. */
const ONE_SIGNAL_MS = 500;

export interface WriteLimiterOptions {
  /** The configured rate (`SECRET_MANAGER_WRITES_PER_SECOND`): any positive number, 0.2 is one in five seconds. */
  readonly writesPerSecond: number;
  /** A monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
  /** Calls back once after that many milliseconds; returns what takes it back. */
  readonly schedule?: (callback: () => void, delayMs: number) => () => void;
}

interface Waiter {
  readonly admit: () => void;
}

export function scheduleByTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  return () => {
    clearTimeout(timer);
  };
}

/**
 * A token bucket for writes to a store whose quota is the whole account's. Admits in the order of asking. On a throttle
 * the rate is halved, without one it grows back by equal steps of time to the whole one (additive increase,
 * multiplicative decrease, as TCP shares a line). The bucket holds a second's worth of writes, at least one. The whole rate
 * is the configured one, unless only a part of it is granted ({@link grant}).
 */
export class WriteLimiter {
  readonly #nowMs: () => number;
  readonly #schedule: (callback: () => void, delayMs: number) => () => void;
  readonly #waiters: Waiter[] = [];
  /** The whole rate, writes per second. */
  #granted: number;
  #grantEndsAtMs = Number.POSITIVE_INFINITY;
  /** What throttles have left of it: 1 is all. */
  #part = 1;
  #tokens: number;
  #refilledAtMs: number;
  #throttledAtMs = Number.NEGATIVE_INFINITY;
  #waitedMs = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(options: WriteLimiterOptions) {
    if (!(options.writesPerSecond > 0 && Number.isFinite(options.writesPerSecond))) {
      throw new RangeError('writesPerSecond must be a positive number');
    }
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#schedule = options.schedule ?? scheduleByTimer;
    this.#granted = options.writesPerSecond;
    this.#tokens = this.#capacity;
    this.#refilledAtMs = this.#nowMs();
  }

  /** Writes per second it admits at present. */
  get ratePerSecond(): number {
    this.#refill();
    return this.#rate;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Milliseconds, since it was made, in which somebody waited for his turn. */
  get waitedMs(): number {
    this.#refill();
    return this.#waitedMs;
  }

  /** Resolves when one write may start; rejects with the signal's reason when it is aborted first, using up nothing. */
  acquire(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      const waiter: Waiter = {
        admit: () => {
          stopListening();
          resolve();
        },
      };
      const stopListening = onAbort(signal, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(abortReason(signal));
        this.#serve();
      });
      this.#refill();
      this.#waiters.push(waiter);
      this.#serve();
    });
  }

  /**
   * The whole rate from now on, and until when; after that nothing is admitted. 0: nothing at once.
   *
   * @param endsAtMs by this limiter's clock
   * @param bucket what may be written at once: what was earned before (default), a second's worth, or nothing
   */
  grant(writesPerSecond: number, endsAtMs: number, bucket: 'kept' | 'full' | 'empty' = 'kept'): void {
    this.#refill();
    this.#granted = writesPerSecond;
    this.#grantEndsAtMs = endsAtMs;
    const tokens = { kept: this.#tokens, full: this.#capacity, empty: 0 }[bucket];
    this.#tokens = Math.min(this.#capacity, tokens);
    this.#serve();
  }

  /** The store throttled a write: slow down. */
  throttled(): void {
    this.#refill();
    const nowMs = this.#nowMs();
    // What is left in the bucket was earned at a rate that proved too high.
    this.#tokens = Math.min(this.#tokens, 0);
    if (nowMs - this.#throttledAtMs < ONE_SIGNAL_MS) return;
    this.#throttledAtMs = nowMs;
    this.#part = Math.max(this.#part * KEPT_AFTER_THROTTLE, LOWEST_PART);
    this.#serve();
  }

  get #rate(): number {
    return this.#granted * this.#part;
  }

  get #capacity(): number {
    return Math.max(1, this.#rate);
  }

  /** Brings everything up to the present; the rate grows linearly, so its mean over the time is what was earned. */
  #refill(): void {
    const nowMs = this.#nowMs();
    const elapsedMs = Math.max(0, nowMs - this.#refilledAtMs);
    const earningMs = Math.max(0, Math.min(nowMs, this.#grantEndsAtMs) - this.#refilledAtMs);
    this.#refilledAtMs = nowMs;
    if (this.#waiters.length > 0) this.#waitedMs += elapsedMs;
    const before = this.#rate;
    this.#part = Math.min(1, this.#part + elapsedMs / FULL_RECOVERY_MS);
    this.#tokens = Math.min(this.#capacity, this.#tokens + (((before + this.#rate) / 2) * earningMs) / 1_000);
    if (nowMs >= this.#grantEndsAtMs) this.#granted = 0;
  }

  #serve(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#refill();
    // The tolerance takes what rounding leaves short of a whole token; without it a timer of 0 ms would spin.
    while (this.#granted > 0 && this.#tokens >= 1 - 1e-6 && this.#waiters.length > 0) {
      this.#tokens -= 1;
      this.#waiters.shift()?.admit();
    }
    if (this.#waiters.length === 0 || this.#granted === 0) return;
    const delayMs = Math.max(1, Math.ceil(((1 - this.#tokens) / this.#rate) * 1_000));
    this.#cancelTimer = this.#schedule(() => {
      this.#serve();
    }, delayMs);
  }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
