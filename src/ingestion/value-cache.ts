import { LRUCache } from 'lru-cache';
import type { SecretValue } from '../secret-value.js';

export interface ValueCacheOptions {
  /** 0: nothing is kept, callers at the same time still share one request. */
  readonly ttlMs: number;
  readonly maxValues: number;
}

/** Values by key, each asked for once however many want it, kept for a time. Failures are not kept. */
export class ValueCache {
  readonly #values: LRUCache<string, SecretValue> | null;
  readonly #flights = new Map<string, Promise<SecretValue>>();

  constructor({ ttlMs, maxValues }: ValueCacheOptions) {
    this.#values = ttlMs > 0 && maxValues > 0 ? new LRUCache({ max: maxValues, ttl: ttlMs }) : null;
  }

  /** @param fresh neither a kept value nor a request that is already under way is good enough */
  get(key: string, load: () => Promise<SecretValue>, fresh: boolean): Promise<SecretValue> {
    if (!fresh) {
      const kept = this.#values?.get(key);
      if (kept !== undefined) return Promise.resolve(kept);
      const flight = this.#flights.get(key);
      if (flight !== undefined) return flight;
    }
    return this.#load(key, load);
  }

  /** Also of a request under way: it may have been answered before the change that this call is about. */
  forget(key: string): void {
    this.#values?.delete(key);
    this.#flights.delete(key);
  }

  clear(): void {
    this.#values?.clear();
    this.#flights.clear();
  }

  #load(key: string, load: () => Promise<SecretValue>): Promise<SecretValue> {
    const flight = load();
    this.#flights.set(key, flight);
    const land = (value?: SecretValue): void => {
      if (this.#flights.get(key) !== flight) return;
      this.#flights.delete(key);
      if (value !== undefined) this.#values?.set(key, value);
    };
    flight.then(land, () => {
      land();
    });
    return flight;
  }
}
