import { LRUCache } from 'lru-cache';
import { KeyRing } from '../fernet/index.js';
import type { SecretValue } from '../secret-value.js';
import { DEFAULT_MANAGER, DEFAULT_READER } from '../secrets-managers/providers.js';
import type { SecuredEvent } from '../terms.js';
import { fillEntity } from './fill.js';
import type { FilledObject } from './fill.js';
import { openReference } from './open-reference.js';
import type { OpenedReference } from './open-reference.js';
import { isNewer } from './revisions.js';
import type { Revision } from './revisions.js';
import { Stores } from './stores.js';
import type { StoreAddress, StoreOptions } from './stores.js';
import { ValueCache } from './value-cache.js';

export interface ResolverOptions extends StoreOptions {
  /**
   * Keys of `fernet:` texts, a comma list: INGESTION_FERNET_KEY. Needed where the worker keeps values itself
   * (`SECRET_MANAGER=db` and the non-managed ones) or publishes sealed references.
   */
  readonly fernetKeys?: string;
  /** Where `secret:` references are looked up that come without an event. Default: AWS Secrets Manager. */
  readonly defaultStore?: StoreAddress;
  /** How long a value is cached, in milliseconds. Default 300,000; 0: no cache. */
  readonly cacheTtlMs?: number;
  /** Default 10,000. */
  readonly cacheMaxValues?: number;
}

export interface ResolveOptions {
  /** Default: {@link ResolverOptions.defaultStore}. */
  readonly store?: StoreAddress;
  /** Ask the store, even if the value is cached. */
  readonly fresh?: boolean;
}

/** The members of a secured event that a resolver reads. */
export type ResolvableEvent = Pick<
  SecuredEvent,
  'connectionId' | 'generation' | 'revision' | 'store' | 'entity' | 'secretFields'
>;

/** Turns references into values. All methods may be called at the same time; none ever returns a reference. */
export interface Resolver {
  /** @throws UnresolvedReferenceError (its class tells why), NotAReferenceError */
  resolve(reference: string, options?: ResolveOptions): Promise<SecretValue>;
  /** Values in the order of the references. Rejects with the error of the first reference that has no value. */
  resolveAll(references: readonly string[], options?: ResolveOptions): Promise<SecretValue[]>;
  /**
   * A copy of the event's entity with values in place of references; null where the event has no entity (a deletion).
   * @throws UnresolvedReferenceError; EventError EVENT_INVALID where a pointer does not lead to its reference
   */
  fill(event: ResolvableEvent, options?: Pick<ResolveOptions, 'fresh'>): Promise<FilledObject | null>;
  /**
   * Says that a connection has this revision. If it is newer than the last one, the cached values of the connection are
   * dropped. {@link fill} and `subscribeSecured` call it by themselves.
   * @returns whether the revision is newer
   */
  note(event: ResolvableEvent): boolean;
  /** Forgets all values and closes the stores. */
  close(): Promise<void>;
}

const TTL_MS = 300_000;
const MAX_VALUES = 10_000;
/** If a connection drops out of this list, its next event counts as newer. */
const MAX_CONNECTIONS = 100_000;
const DEFAULT_STORE: StoreAddress = { provider: DEFAULT_READER };

/**
 * Makes a resolver. Opens no connection: each store is opened when the first reference needs it.
 *
 * @throws ConfigurationError CONFIG_INVALID for a key that is not valid, naming its position
 */
export function createResolver(options: ResolverOptions = {}): Resolver {
  return new CachingResolver(options);
}

interface KnownConnection extends Revision {
  readonly keys: readonly string[];
}

class CachingResolver implements Resolver {
  readonly #ring: KeyRing | null;
  readonly #stores: Stores;
  readonly #cache: ValueCache;
  readonly #defaultStore: StoreAddress;
  readonly #connections = new LRUCache<string, KnownConnection>({ max: MAX_CONNECTIONS });

  constructor(options: ResolverOptions) {
    const { fernetKeys, cacheTtlMs = TTL_MS, cacheMaxValues = MAX_VALUES } = options;
    this.#ring = fernetKeys === undefined ? null : KeyRing.parse('INGESTION_FERNET_KEY', fernetKeys);
    this.#stores = new Stores(options);
    this.#cache = new ValueCache({ ttlMs: cacheTtlMs, maxValues: cacheMaxValues });
    this.#defaultStore = options.defaultStore ?? DEFAULT_STORE;
  }

  async resolve(reference: string, options: ResolveOptions = {}): Promise<SecretValue> {
    return this.#value(openReference(reference, this.#ring), options);
  }

  async resolveAll(references: readonly string[], options: ResolveOptions = {}): Promise<SecretValue[]> {
    const results = await Promise.allSettled(references.map((reference) => this.resolve(reference, options)));
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }

  async fill(
    event: ResolvableEvent,
    options: Pick<ResolveOptions, 'fresh'> = {},
  ): Promise<FilledObject | null> {
    this.note(event);
    const { entity, secretFields } = event;
    if (entity === null) return null;
    const references = secretFields.map(({ reference }) => reference);
    const values = await this.resolveAll(references, { ...options, store: event.store });
    return fillEntity(
      entity,
      secretFields.map(({ path, reference }, index) => ({
        path,
        reference,
        value: values[index] as SecretValue,
      })),
    );
  }

  note(event: ResolvableEvent): boolean {
    const { connectionId, generation, revision } = event;
    const known = this.#connections.get(connectionId);
    if (known !== undefined && !isNewer(event, known)) return false;
    const keys = this.#keysOf(event);
    for (const key of new Set([...(known?.keys ?? []), ...keys])) this.#cache.forget(key);
    this.#connections.set(connectionId, { generation, revision, keys });
    return true;
  }

  async close(): Promise<void> {
    this.#cache.clear();
    this.#connections.clear();
    await this.#stores.close();
  }

  async #value(opened: OpenedReference, { store, fresh = false }: ResolveOptions): Promise<SecretValue> {
    if (opened.kind === 'value') return opened.value;
    const { reference } = opened;
    const address = this.#addressOf(store);
    const key = this.#stores.keyOf(address, reference);
    return this.#cache.get(key, () => this.#stores.read(address, reference), fresh);
  }

  /** With `SECRET_MANAGER=db` there is no store: a reference that a user typed is looked up in the default one. */
  #addressOf(store: StoreAddress | undefined): StoreAddress {
    return store === undefined || store.provider === DEFAULT_MANAGER ? this.#defaultStore : store;
  }

  #keysOf({ secretFields, store }: ResolvableEvent): string[] {
    return secretFields.flatMap(({ reference }) => {
      const opened = this.#tryOpen(reference);
      return opened?.kind === 'stored' ? [this.#stores.keyOf(this.#addressOf(store), opened.reference)] : [];
    });
  }

  /** A reference that cannot be opened is not cached. Resolving it says why. */
  #tryOpen(reference: string): OpenedReference | null {
    try {
      return openReference(reference, this.#ring);
    } catch {
      return null;
    }
  }
}
