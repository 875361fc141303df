/** Limits the records in flight over all partitions of this process. A large record counts as several. */
export class Limit {
  #taken = 0;

  constructor(readonly limit: number) {}

  /** Takes `weight` places if they are free. A record over the limit gets them when nothing else is in flight. */
  tryTake(weight: number): boolean {
    if (this.#taken > 0 && this.#taken + weight > this.limit) return false;
    this.#taken += weight;
    return true;
  }

  /** Takes places even over the limit: for a partition with no record in flight, so that none starves. */
  takeBeyond(weight: number): void {
    this.#taken += weight;
  }

  release(weight: number): void {
    this.#taken -= weight;
  }
}

/** Callers wait here until something has changed, then look again. */
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
