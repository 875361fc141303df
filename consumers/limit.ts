/** How many records may be under way at once, over all partitions of this process. */
export class Limit {
  #taken = 0;

  constructor(readonly limit: number) {}

  tryTake(): boolean {
    if (this.#taken >= this.limit) return false;
    this.#taken += 1;
    return true;
  }

  /** Takes one more even if the limit is reached: a partition with nothing under way gets it, so that none starves. */
  takeBeyond(): void {
    this.#taken += 1;
  }

  release(count = 1): void {
    this.#taken -= count;
  }
}

/** Wakes all that wait: something changed, look again. */
export class WakeUp {
  #waiting = new Set<() => void>();

  wake(): void {
    const woken = this.#waiting;
    this.#waiting = new Set();
    for (const wake of woken) wake();
  }

  /** Resolves at the next {@link wake}, or after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.max(0, timeoutMs));
      this.#waiting.add(wake);
    });
  }
}
