/** How many records may be under way at once, over all partitions of this process; a large one counts as several. */
export class Limit {
  #taken = 0;

  constructor(readonly limit: number) {}

  /** Of a record that counts for more than the limit: takes it while nothing else is under way. */
  tryTake(weight: number): boolean {
    if (this.#taken > 0 && this.#taken + weight > this.limit) return false;
    this.#taken += weight;
    return true;
  }

  /** Takes more even if the limit is reached: a partition with nothing under way gets it, so that none starves. */
  takeBeyond(weight: number): void {
    this.#taken += weight;
  }

  release(weight: number): void {
    this.#taken -= weight;
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
