/** So many at a time; the others in the order they came. */
export class Turns {
  #free: number;
  #queue: ((isYours: boolean) => void)[] = [];
  #closed = false;

  constructor(limit: number) {
    this.#free = limit;
  }

  /** @returns false if it is closed */
  async take(): Promise<boolean> {
    if (this.#closed) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  give(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#free += 1;
    else next(true);
  }

  close(): void {
    this.#closed = true;
    for (const refuse of this.#queue) refuse(false);
    this.#queue = [];
  }
}
