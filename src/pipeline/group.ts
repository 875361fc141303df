import { WorkerError } from '../errors.js';

interface Entry<I, O> {
  readonly item: I;
  readonly resolve: (value: O) => void;
  readonly reject: (error: unknown) => void;
}

const MAX_ITEMS = 256;

/**
 * Many callers, one call: what comes in while a call is on its way goes together in the next one, so that a database
 * transaction or a send is shared by many lanes. Where a shared call fails for a reason that may lie in one item, each
 * is tried alone, so that a poisonous one harms only itself.
 */
export class Group<I, O> {
  readonly #run: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #maxItems: number;
  #queue: Entry<I, O>[] = [];
  #isRunning = false;

  /** @param run answers in the order of its items */
  constructor(run: (items: readonly I[]) => Promise<readonly O[]>, maxItems = MAX_ITEMS) {
    this.#run = run;
    this.#maxItems = maxItems;
  }

  add(item: I): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // One turn later: what other lanes hand in at the same moment goes along.
      setImmediate(() => void this.#drain());
    });
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const entries = this.#queue.slice(0, this.#maxItems);
      this.#queue = this.#queue.slice(this.#maxItems);
      await this.#runTogether(entries);
    }
    this.#isRunning = false;
  }

  async #runTogether(entries: readonly Entry<I, O>[]): Promise<void> {
    try {
      settle(entries, await this.#run(entries.map(({ item }) => item)));
    } catch (error) {
      if (entries.length === 1 || concernsAll(error)) for (const { reject } of entries) reject(error);
      else for (const entry of entries) await this.#runTogether([entry]);
    }
  }
}

function settle<I, O>(entries: readonly Entry<I, O>[], results: readonly O[]): void {
  entries.forEach(({ resolve }, index) => {
    resolve(results[index] as O);
  });
}

/** Failures of a database that may lie in one item, though another attempt may cure them. */
const OF_ONE_ITEM: ReadonlySet<unknown> = new Set(['unique', 'locked']);

/** An unreachable database or broker is nobody's item: trying each alone would wait for as many time-outs. */
function concernsAll(error: unknown): boolean {
  return (
    error instanceof WorkerError && error.retryable && !('failure' in error && OF_ONE_ITEM.has(error.failure))
  );
}
