import { WorkerError } from '../errors.js';

interface Entry<I, O> {
  readonly item: I;
  readonly resolve: (value: O) => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupOptions {
  /** Calls under way at the same time. Default: one. */
  readonly lines?: number;
  /** How many items are somewhere on their way, and may come. Default: none is known of. */
  readonly underWay?: () => number;
}

const MAX_ITEMS = 256;
/** From so many on a group waits a moment for more: alone, an item must not wait. */
const MANY = 16;
/** A group that has this share of what is under way does not wait. */
const ENOUGH = 1 / 3;
const LINGER_MS = 8;

/**
 * Many callers, one call: what comes in while a call is on its way goes together in the next one, so that a database
 * transaction or a send is shared by many lanes. Where a shared call fails for a reason that may lie in one item, each
 * is tried alone, so that a poisonous one harms only itself.
 */
export class Group<I, O> {
  readonly #run: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #lines: number;
  readonly #underWay: () => number;
  #queue: Entry<I, O>[] = [];
  #running = 0;
  /** Begins the next call; null: nothing waits for one. */
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #isLingering = false;

  /** @param run answers in the order of its items */
  constructor(
    run: (items: readonly I[]) => Promise<readonly O[]>,
    { lines = 1, underWay = () => 0 }: GroupOptions = {},
  ) {
    this.#run = run;
    this.#lines = lines;
    this.#underWay = underWay;
  }

  add(item: I): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#running >= this.#lines || this.#queue.length === 0) return;
    const mayLinger = this.#mayLinger();
    if (this.#timer !== null && !(this.#isLingering && !mayLinger)) return;
    if (this.#timer !== null) clearTimeout(this.#timer as NodeJS.Timeout);
    this.#isLingering = mayLinger;
    const begin = (): void => {
      this.#timer = null;
      void this.#begin();
    };
    // At the least one turn later: what other lanes hand in at the same moment goes along.
    this.#timer = mayLinger ? setTimeout(begin, LINGER_MS) : setImmediate(begin);
  }

  #mayLinger(): boolean {
    const underWay = this.#underWay();
    return underWay >= MANY && this.#queue.length < Math.min(MAX_ITEMS, underWay * ENOUGH);
  }

  async #begin(): Promise<void> {
    const entries = this.#queue.splice(0, MAX_ITEMS);
    this.#running += 1;
    this.#schedule();
    await this.#runTogether(entries);
    this.#running -= 1;
    this.#schedule();
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
  if (results.length !== entries.length)
    throw new RangeError(`${entries.length} items were answered with ${results.length} results`);
  entries.forEach(({ resolve }, index) => {
    resolve(results[index] as O);
  });
}

/** Failures of a database that may lie in one item, though another attempt may cure them. */
const OF_ONE_ITEM: ReadonlySet<unknown> = new Set(['unique', 'locked']);

/** An unreachable database or broker concerns all items: trying each alone would wait for as many time-outs. */
function concernsAll(error: unknown): boolean {
  return (
    error instanceof WorkerError && error.retryable && !('failure' in error && OF_ONE_ITEM.has(error.failure))
  );
}

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
