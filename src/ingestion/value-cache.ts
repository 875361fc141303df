import { LRUCache } from 'lru-cache';
import type { SecretValue } from '../secret-value.js';

export interface ValueCacheOptions {
  /** 0: no cache. Callers at the same time still share one request. */
  readonly ttlMs: number;
  readonly maxValues: number;
}

/** Caches values by key. Callers that want the same value share one request. Failures are not cached. */
export class ValueCache {
  readonly #values: LRUCache<string, SecretValue> | null;
  readonly #flights = new Map<string, Promise<SecretValue>>();

  constructor({ ttlMs, maxValues }: ValueCacheOptions) {
    this.#values = ttlMs > 0 && maxValues > 0 ? new LRUCache({ max: maxValues, ttl: ttlMs }) : null;
  }

  /** @param fresh make a new request, whatever is cached or under way */
  get(key: string, load: () => Promise<SecretValue>, fresh: boolean): Promise<SecretValue> {
    if (!fresh) {
      const kept = this.#values?.get(key);
      if (kept !== undefined) return Promise.resolve(kept);
      const flight = this.#flights.get(key);
      if (flight !== undefined) return flight;
    }
    return this.#load(key, load);
  }

  /** Also forgets a request under way: the store may have answered it before the change. */
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
