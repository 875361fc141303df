import { WorkerError } from '../errors.js';

interface Entry<I, O> {
  readonly item: I;
  readonly resolve: (value: O) => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupOptions {
  /** How many calls may run at the same time. Default: one. */
  readonly lines?: number;
  /** How many items are in progress elsewhere and may be added soon. Default: always 0. */
  readonly underWay?: () => number;
}

const MAX_ITEMS = 256;
/** If this many items are under way, a group waits a moment for more. A single item must not wait. */
const MANY = 16;
/** A group that already has this share of the items under way does not wait. */
const ENOUGH = 1 / 3;
const LINGER_MS = 8;

/**
 * Batches many callers into one call: items that are added while a call runs go together into the next one, so that many
 * lanes share a database transaction or a send. If a shared call fails for a reason that may lie in one item, each item
 * is tried alone, so that a bad one fails only itself.
 */
export class Group<I, O> {
  readonly #run: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #lines: number;
  readonly #underWay: () => number;
  #queue: Entry<I, O>[] = [];
  #running = 0;
  /** Begins the next call. Null: none is scheduled. */
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #isLingering = false;

  /** @param run returns one result per item, in the order of the items */
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
    // Waits at least one turn of the event loop, so that items which other lanes add at the same moment go along.
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

/** Retryable database failures whose cause may lie in one item. */
const OF_ONE_ITEM: ReadonlySet<unknown> = new Set(['unique', 'locked']);

/** An unreachable database or broker concerns all items: trying each alone would wait for one time-out per item. */
function concernsAll(error: unknown): boolean {
  return (
    error instanceof WorkerError && error.retryable && !('failure' in error && OF_ONE_ITEM.has(error.failure))
  );
}

/**
 * Serial queues by key: the work of one connection runs in the order it was added, the work of different connections at
 * the same time. When one piece fails, everything queued behind it fails with the same error: the transport delivers all
 * of it again in order, and nothing overtakes.
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
