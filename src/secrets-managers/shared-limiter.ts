import { takeShare, type Take, type WriteShare } from './fair-share.js';
import { scheduleByTimer, WriteLimiter, type WriteLimiterOptions } from './write-limiter.js';

/** Between two looks at what the others want, milliseconds: as long as a change needs to get around. */
export const BEAT_MS = 1_000;
/** The same while others hold what is this one's fair share, milliseconds. */
const RETRY_MS = 250;
/** A share that is not renewed lasts so long, milliseconds. */
export const LEASE_MS = 3_000;
/** A process that has asked for nothing for so long gives its share back, milliseconds. */
export const IDLE_MS = 10_000;
/** For so long a process that ends waits for the database to take its share back, milliseconds. */
const CLOSE_MS = 1_000;
/** What is asked for above what was used: so much room to grow from one look to the next. */
const HEADROOM = 1.25;
/** How much the newest measurement counts. */
const NEWEST = 0.5;
/** Writes that waited for this part of the time show that the process could use the whole limit. */
const SATURATED = 0.9;
/** Of the limit: what is always asked for, so that a first write need not wait for a look. */
const LEAST_SHARE = 1 / 64;

/**
 * Replaces what the processes of one database hold of a store by what `change` makes of it, as one step: none of it is lost
 * against another process. `change` is called again where somebody else was faster; the last answer counts. Rejects where
 * the database is away.
 */
export type ChangeShares = <T extends { readonly shares: readonly WriteShare[] }>(
  change: (shares: readonly WriteShare[], nowMs: number) => T,
) => Promise<T>;

export interface SharedLimiterOptions extends WriteLimiterOptions {
  /** Different from every other process. */
  readonly process: string;
  readonly changeShares: ChangeShares;
  /** The share could not be renewed; it is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * A limiter whose rate is this process's share of a quota, by a heartbeat that runs while something is written. Without an
 * answer of the database it keeps what it was granted until that expires, and then admits nothing: the others have it.
 */
export class SharedLimiter {
  readonly #options: SharedLimiterOptions;
  readonly #limiter: WriteLimiter;
  readonly #nowMs: () => number;
  readonly #schedule: (callback: () => void, delayMs: number) => () => void;
  #loop: Promise<void> | null = null;
  #endPause: (() => void) | null = null;
  #isClosed = false;
  /** Since `#measuredAtMs`. */
  #admitted = 0;
  #measuredAtMs = 0;
  /** The limiter's `waitedMs` then. */
  #waitedMs = 0;
  #askedAtMs = 0;
  /** Writes per second, of the last seconds. */
  #demand = 0;

  constructor(options: SharedLimiterOptions) {
    this.#options = options;
    this.#limiter = new WriteLimiter(options);
    this.#limiter.grant(0, Number.POSITIVE_INFINITY);
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#schedule = options.schedule ?? scheduleByTimer;
  }

  /** Writes per second it admits at present. */
  get ratePerSecond(): number {
    return this.#limiter.ratePerSecond;
  }

  /** As {@link WriteLimiter.acquire}. */
  async acquire(signal: AbortSignal): Promise<void> {
    this.#askedAtMs = this.#nowMs();
    const turn = this.#limiter.acquire(signal);
    this.#wake();
    await turn;
    this.#admitted += 1;
  }

  throttled(): void {
    this.#limiter.throttled();
  }

  /** Gives the share back. Writes that still wait are not admitted any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endPause?.();
    if (this.#loop === null) return;
    let cancel = (): void => undefined;
    const deadline = new Promise<void>((resolve) => (cancel = this.#schedule(resolve, CLOSE_MS)));
    await Promise.race([this.#loop, deadline]);
    cancel();
  }

  #wake(): void {
    if (this.#loop !== null || this.#isClosed) return;
    this.#loop = this.#run().finally(() => {
      this.#loop = null;
      // Asked for while the share was being given back.
      if (this.#limiter.waiting > 0) this.#wake();
    });
  }

  async #run(): Promise<void> {
    let isFirst = true;
    while (!this.#isClosed && !this.#isIdle()) {
      const take = await this.#beat(isFirst);
      if (take !== null) isFirst = false;
      const isShort = take !== null && take.granted < take.fair * 0.99;
      await this.#pause(isShort ? RETRY_MS : BEAT_MS);
    }
    await this.#leave();
  }

  #isIdle(): boolean {
    return this.#limiter.waiting === 0 && this.#nowMs() - this.#askedAtMs >= IDLE_MS;
  }

  /** Null: the database did not answer. */
  async #beat(isFirst: boolean): Promise<Take | null> {
    const { process, writesPerSecond: limit, changeShares, onFailure } = this.#options;
    const own = { process, limit, wanted: this.#measure(isFirst) };
    // From before the statement is sent: it ends no later than the others take it for expired.
    const endsAtMs = this.#nowMs() + LEASE_MS;
    try {
      const take = await changeShares((shares, nowMs) =>
        takeShare(shares, own, { nowMs, leaseMs: LEASE_MS }),
      );
      const bucket = !isFirst ? 'kept' : take.isAlone ? 'full' : 'empty';
      this.#limiter.grant(take.granted, endsAtMs, bucket);
      return take;
    } catch (error) {
      onFailure(error);
      return null;
    }
  }

  /**
   * Writes per second to ask for: what was admitted in the time in which nobody waited is what there is to write without a
   * limit; a mean of the last seconds, and some room above it.
   */
  #measure(isFirst: boolean): number {
    const { writesPerSecond: limit } = this.#options;
    const nowMs = this.#nowMs();
    const { waiting, waitedMs } = this.#limiter;
    const elapsedMs = nowMs - this.#measuredAtMs;
    const freeMs = elapsedMs - (waitedMs - this.#waitedMs);
    if (isFirst) this.#demand = waiting;
    else if (freeMs <= elapsedMs * (1 - SATURATED)) this.#demand = limit;
    else this.#demand += NEWEST * (Math.min(limit, (this.#admitted * 1_000) / freeMs) - this.#demand);
    this.#admitted = 0;
    this.#measuredAtMs = nowMs;
    this.#waitedMs = waitedMs;
    return Math.max(this.#demand * HEADROOM, limit * LEAST_SHARE);
  }

  /** Nothing is admitted from here on; where the database does not answer, the share expires. */
  async #leave(): Promise<void> {
    const { process, changeShares } = this.#options;
    this.#limiter.grant(0, Number.POSITIVE_INFINITY);
    await changeShares((shares) => ({ shares: shares.filter((one) => one.process !== process) })).catch(
      () => undefined,
    );
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#schedule(resolve, ms);
      this.#endPause = () => {
        cancel();
        resolve();
      };
      if (this.#isClosed) this.#endPause();
    });
  }
}
