/** A clock that stands still until a test moves it, with timers. */
export class ManualClock {
  nowMs = 0;
  #timers: { atMs: number; callback: () => void }[] = [];

  readonly now = (): number => this.nowMs;

  readonly schedule = (callback: () => void, delayMs: number): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Moves the clock on and runs the timers that fall due, in their order. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.callback();
    }
    this.nowMs = endMs;
    // Lets the callers that the timers admitted read the new time.
    await Promise.resolve();
    await Promise.resolve();
  }
}
