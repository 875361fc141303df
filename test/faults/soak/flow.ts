/** Holds the publisher, so that somebody else may do something to its topics. */
export class Flow {
  #holds = 0;
  #free: () => void = () => undefined;
  #held: Promise<void> = Promise.resolve();
  #working: Promise<unknown> = Promise.resolve();

  /** Nothing is published from then on until what it returns is called. */
  async hold(): Promise<() => void> {
    if (this.#holds === 0) this.#held = new Promise((resolve) => (this.#free = resolve));
    this.#holds += 1;
    await this.#working;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#holds -= 1;
      if (this.#holds === 0) this.#free();
    };
  }

  /** Begins when nobody holds. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    while (this.#holds > 0) await this.#held;
    const working = work();
    this.#working = working.catch(() => undefined);
    return working;
  }
}
