import { SecretValue } from '../../../src/secret-value.js';
import {
  failure,
  success,
  type PutItem,
  type SecretsManager,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreLimits,
  type StoreResult,
} from '../../../src/secrets-managers/port.js';
import { inMemory } from '../../../src/secrets-managers/in-memory/provider.js';
import { InMemoryStore, IN_MEMORY_LIMITS } from '../../../src/secrets-managers/in-memory/store.js';
import type { ManagerName } from '../../../src/terms.js';
import { testOwnership } from '../../harness/ownership.js';

/**
 * What a put runs into: `throttle`, `access`, `credentials`, `quota`, `not-owned`: not carried out; `lost`: not carried out, outcome unknown; `lost-after`:
 * carried out, outcome unknown; `late`: outcome unknown, carried out by {@link ScriptedStore.land}.
 */
export type PutFault =
  'throttle' | 'access' | 'credentials' | 'quota' | 'not-owned' | 'lost' | 'lost-after' | 'late';

interface Armed {
  readonly kind: PutFault;
  readonly secretId: string | null;
  times: number;
}

const NO_GUARD: StoreCall = { signal: new AbortController().signal, admitWrite: () => Promise.resolve() };

/** The in-memory store with a script of faults, a call log, and requests that land when the test says so. */
export class ScriptedStore implements SecretStore {
  readonly owned = null;
  readonly inner = new InMemoryStore(testOwnership());
  readonly calls: { readonly operation: 'put' | 'get' | 'delete' | 'restore'; readonly secretId: string }[] =
    [];
  readonly #armed: Armed[] = [];
  readonly #late: PutItem[] = [];
  /** Reads give something else than what was written. */
  garbles = false;
  /** Awaited after a put was carried out, before it is answered. */
  afterPut: (item: PutItem) => Promise<void> = () => Promise.resolve();

  arm(
    kind: PutFault,
    { secretId = null, times = 1 }: { secretId?: string | null; times?: number } = {},
  ): void {
    this.#armed.push({ kind, secretId, times });
  }

  disarm(): void {
    this.#armed.length = 0;
  }

  /** What was held back reaches the store now, whoever works on it meanwhile. */
  async land(): Promise<number> {
    const items = this.#late.splice(0);
    await this.inner.put(items, NO_GUARD);
    return items.length;
  }

  async valueOf(secretId: string): Promise<string | null> {
    const [result] = await this.inner.get([{ reference: `secret:${secretId}` }], NO_GUARD);
    return result?.ok === true ? result.value.value.reveal() : null;
  }

  get writes(): number {
    return this.calls.filter(({ operation }) => operation === 'put').length;
  }

  async put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    const results: StoreResult<Stored>[] = [];
    for (const item of items) results.push(await this.#put(item, call));
    return results;
  }

  async #put(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    await call.admitWrite();
    this.calls.push({ operation: 'put', secretId: item.secretId });
    const unknown = failure('transient', 'scripted: no answer', { applied: 'unknown' });
    switch (this.#nextFault(item.secretId)) {
      case 'throttle':
        return failure('transient', 'scripted: throttled');
      case 'access':
        return failure('access', 'scripted: access denied');
      case 'credentials':
        return failure('credentials', 'scripted: expired');
      case 'quota':
        return failure('quota', 'scripted: no room');
      case 'not-owned':
        return failure('conflict', 'scripted: not ours', { code: 'SECRET_NOT_OWNED' });
      case 'lost':
        return unknown;
      case 'late':
        this.#late.push(item);
        return unknown;
      case 'lost-after':
        await this.inner.put([item], NO_GUARD);
        return unknown;
      case null: {
        const [result] = await this.inner.put([item], NO_GUARD);
        await this.afterPut(item);
        return result as StoreResult<Stored>;
      }
    }
  }

  #nextFault(secretId: string): PutFault | null {
    const armed = this.#armed.find((one) => one.times > 0 && (one.secretId ?? secretId) === secretId);
    if (armed === undefined) return null;
    armed.times -= 1;
    return armed.kind;
  }

  get: SecretStore['get'] = (items, call) => {
    for (const { reference } of items)
      this.calls.push({ operation: 'get', secretId: reference.slice('secret:'.length) });
    return this.garbles ? this.#garbled(items, call) : this.inner.get(items, call);
  };

  async #garbled(...[items, call]: Parameters<SecretStore['get']>): ReturnType<SecretStore['get']> {
    const results = await this.inner.get(items, call);
    return results.map((result) =>
      result.ok ? success({ ...result.value, value: new SecretValue('garbled') }) : result,
    );
  }

  delete: SecretStore['delete'] = (items, call) => this.inner.delete(items, call);
  describe: SecretStore['describe'] = (reference, call) => this.inner.describe(reference, call);
  restore: SecretStore['restore'] = (item, call) => this.inner.restore(item, call);
  check: SecretStore['check'] = () => Promise.resolve(success({ detail: 'scripted' }));
  close: SecretStore['close'] = () => Promise.resolve();
}

export function scriptedManager(
  store: SecretStore,
  name: ManagerName = 'in-memory',
  limits: Partial<StoreLimits> = {},
): SecretsManager {
  const keeps = name === 'db' ? 'database' : 'store';
  return {
    name,
    provider: name,
    capabilities: inMemory.capabilities,
    location: {},
    keeps,
    idStyle: 'slash',
    limits: { ...IN_MEMORY_LIMITS, ...limits },
    store,
  };
}
