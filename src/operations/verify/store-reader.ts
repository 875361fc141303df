import { WorkerError } from '../../errors.js';
import { pause } from '../../pause.js';
import type {
  Description,
  Fetched,
  ListPage,
  SecretsManager,
  StoreCall,
  StoreResult,
} from '../../secrets-managers/port.js';
import type { Reference } from '../../terms.js';

/** How often to send a read that fails with a transient error, and half of the first pause, milliseconds. */
const TRIES = 5;
const FIRST_PAUSE_MS = 250;

/** The limit of reads per second. */
export interface ReadGate {
  acquire(signal: AbortSignal): Promise<void>;
}

/** Reads from one store, within a limit. Tries again after transient errors and throws lasting ones. Writes nothing. */
export class StoreReader {
  readonly #manager: SecretsManager;
  readonly #gate: ReadGate;
  readonly #call: StoreCall;
  #granted = false;

  constructor(manager: SecretsManager, gate: ReadGate, signal: AbortSignal) {
    this.#manager = manager;
    this.#gate = gate;
    this.#call = {
      signal,
      admitWrite: () => Promise.reject(new WorkerError('INTERNAL', 'a verification was about to write')),
    };
  }

  /** Current values, in the order of the references. @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS */
  async values(references: readonly Reference[]): Promise<StoreResult<Fetched>[]> {
    if (references.length === 0) return [];
    const results = await this.#manager.store.get(
      references.map((reference) => ({ reference })),
      await this.#paced(Math.ceil(references.length / this.#manager.capabilities.readsARequest)),
    );
    const read = await Promise.all(
      results.map(async (result, index) => {
        if (result.ok || result.error.class !== 'transient') return result;
        return this.#again(result, async () => {
          const [again] = await this.#manager.store.get(
            [{ reference: references[index] as Reference }],
            await this.#paced(1),
          );
          return again ?? result;
        });
      }),
    );
    this.#requireAccess(read);
    return read;
  }

  async describe(reference: Reference): Promise<StoreResult<Description>> {
    const look = async (): Promise<StoreResult<Description>> =>
      this.#manager.store.describe(reference, await this.#paced(2));
    return this.#again(await look(), look);
  }

  /** Null if the store cannot list secrets by their tags. */
  async list(prefix: string, after: string | null): Promise<StoreResult<ListPage> | null> {
    const { owned } = this.#manager.store;
    if (owned === null) return null;
    const look = async (): Promise<StoreResult<ListPage>> => owned.list(prefix, after, await this.#paced(1));
    const page = await this.#again(await look(), look);
    // Such a store needs one request for the tags of each secret.
    if (page.ok && !this.#manager.capabilities.tellsOwnersInLists)
      await this.#paced(page.value.secrets.length);
    return page;
  }

  async #again<T>(first: StoreResult<T>, look: () => Promise<StoreResult<T>>): Promise<StoreResult<T>> {
    let result = first;
    for (let tries = 1; !result.ok && result.error.class === 'transient'; tries += 1) {
      const { signal } = this.#call;
      if (tries === TRIES || signal.aborted) throw new WorkerError(result.error.code, result.error.message);
      await pause(FIRST_PAUSE_MS * 2 ** tries, signal);
      result = await look();
    }
    return result;
  }

  /** If the store denies every read from the first on, the login or the policy is wrong, not a single secret. */
  #requireAccess(results: readonly StoreResult<Fetched>[]): void {
    this.#granted ||= results.some((result) => result.ok || result.error.class === 'not-found');
    if (this.#granted) return;
    const [first] = results;
    if (first?.ok === false && results.every((result) => !result.ok && result.error.class === 'access'))
      throw new WorkerError('STORE_ACCESS', first.error.message);
  }

  async #paced(requests: number): Promise<StoreCall> {
    const { signal } = this.#call;
    for (let count = 0; count < requests; count += 1)
      await this.#gate.acquire(signal).catch(() => {
        throw new WorkerError('STORE_UNAVAILABLE', 'stopped before its turn came');
      });
    return this.#call;
  }
}
