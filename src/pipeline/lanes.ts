/**
 * Serial queues by key: work of one connection runs in the order it was handed in, work of different ones at the same
 * time. When a piece of work fails, what already queues behind it fails with the same error: all of it comes again, in
 * order, and nothing overtakes.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<unknown>>();

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const tail = this.#tails.get(key);
    const result = tail === undefined ? work() : tail.then(work);
    this.#tails.set(key, result);
    const forget = (): void => {
      if (this.#tails.get(key) === result) this.#tails.delete(key);
    };
    result.then(forget, forget);
    return result;
  }

  /** Keys with work that runs or waits. */
  get size(): number {
    return this.#tails.size;
  }
}
