import type { Reference } from '../../terms.js';
import {
  failure,
  secretIdOf,
  success,
  type Description,
  type Fetched,
  type GetItem,
  type PutItem,
  type RestoreItem,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreResult,
  type DeleteItem,
} from '../port.js';

/**
 * The non-managed managers (`aws`, `aws-ssm`): values stay with us, sealed, and the store behind is only read, for the
 * references that users typed themselves. It sees no call for anything this worker writes, deletes or checks.
 */
export class NonManagedStore implements SecretStore {
  readonly owned = null;
  readonly #provider: string;
  readonly #sealed: SecretStore;
  readonly #external: SecretStore;

  constructor(provider: string, sealed: SecretStore, external: SecretStore) {
    this.#provider = provider;
    this.#sealed = sealed;
    this.#external = external;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return this.#sealed.put(items, call);
  }

  async get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    const named = items.filter((item) => secretIdOf(item.reference) !== null);
    const tokens = items.filter((item) => secretIdOf(item.reference) === null);
    const fromStore = named.length === 0 ? [] : await this.#external.get(named, call);
    const fromTokens = await this.#sealed.get(tokens, call);
    const results = new Map<GetItem, StoreResult<Fetched>>();
    const keep = (keys: readonly GetItem[], values: readonly StoreResult<Fetched>[]): void => {
      for (const [index, key] of keys.entries()) {
        const value = values[index];
        if (value !== undefined) results.set(key, value);
      }
    };
    keep(named, fromStore);
    keep(tokens, fromTokens);
    return items.map(
      (item) => results.get(item) ?? failure('transient', `${this.#provider}: the store gave no answer`),
    );
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return (secretIdOf(reference) === null ? this.#sealed : this.#external).describe(reference, call);
  }

  /** What a user's reference names is the user's: refused without asking the store. */
  delete(items: readonly DeleteItem[]): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return Promise.resolve(
      items.map((item) => this.#readOnly<'deleted' | 'absent'>(item.reference) ?? success('absent' as const)),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    const refused = this.#readOnly<{ version: string }>(item.reference);
    return refused === null ? this.#sealed.restore(item, call) : Promise.resolve(refused);
  }

  check(): Promise<StoreResult<{ detail: string }>> {
    return Promise.resolve(
      success({
        detail: 'values are kept sealed in the database, the store is only read for users’ references',
      }),
    );
  }

  async close(): Promise<void> {
    await this.#sealed.close();
    await this.#external.close();
  }

  #readOnly<T>(reference: Reference): StoreResult<T> | null {
    const secretId = secretIdOf(reference);
    if (secretId === null) return null;
    return failure(
      'conflict',
      `${this.#provider}: ${secretId} is a user's secret, this manager only reads it`,
      {
        code: 'SECRET_NOT_OWNED',
      },
    );
  }
}
