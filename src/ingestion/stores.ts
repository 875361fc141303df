import type { GetItem, StoreCall, StoreResult } from '../secrets-managers/port.js';
import {
  PROVIDERS,
  readableProvider,
  readProviderValues,
  type AnyManagerSettings,
} from '../secrets-managers/providers.js';
import { createSecretsManager } from '../secrets-managers/registry.js';
import { isStandIn } from '../catalog/secret-text.js';
import { WorkerError } from '../errors.js';
import { KeyRing } from '../fernet/index.js';
import { SecretValue } from '../secret-value.js';
import type { StoreLocation } from '../terms.js';
import { BatchReads } from './batch-reads.js';
import {
  SecretAccessError,
  SecretNotFoundError,
  SecretStoreUnavailableError,
  SecretUnreadableError,
} from './errors.js';

/**
 * Where a value is kept: `store` of a secured event, or a name of one's own with a reader in {@link StoreOptions.readers}.
 * Its words (`region`, …) go before the settings that they stand for.
 */
export type StoreAddress = StoreLocation;

/** Reads from a store this library does not know. */
export interface SecretReader {
  /**
   * One result for each reference (`secret:…`), in their order. What the store says of one of them is a result; a rejection
   * means for all of them that the store is down.
   */
  get(references: readonly string[], signal: AbortSignal): Promise<StoreResult<SecretValue>[]>;
  close?(): Promise<void>;
}

/** Settings of the stores by their names in docs/configuration.md, such as `OM_SM_REGION`; secret ones as `SecretValue`, too. */
export type StoreSettings = Readonly<Record<string, string | SecretValue | undefined>>;

export interface StoreOptions {
  /**
   * How to reach the stores. Without settings the SDK uses its own search. FERNET_KEY (the worker's) opens a `local` vault,
   * which is only read. This library does not read the environment.
   */
  readonly settings?: StoreSettings;
  /** The longest one request may take. Default 5,000. */
  readonly requestTimeoutMs?: number;
  /** By provider name; they replace built-in ones of the same name. */
  readonly readers?: Readonly<Record<string, SecretReader>>;
}

const REQUEST_TIMEOUT_MS = 5_000;

type StoredReference = `secret:${string}`;

/** This library only reads. */
const refuseWrite = (): Promise<void> =>
  Promise.reject(new WorkerError('INTERNAL', 'an ingestion worker does not write to the store'));

/** The stores that events name. Opens each at its first use, and asks for the references of all callers in batches. */
export class Stores {
  readonly #options: StoreOptions;
  readonly #opened = new Map<string, Promise<BatchReads>>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** References with equal keys are the same secret. */
  keyOf(address: StoreAddress, reference: StoredReference): string {
    return JSON.stringify([this.#placeOf(address), reference]);
  }

  /** @throws UnresolvedReferenceError one of its classes, naming the reference */
  async read(address: StoreAddress, reference: StoredReference): Promise<SecretValue> {
    const reads = await this.#open(address, reference);
    const result = await reads.read(reference);
    if (!result.ok) throw unresolved(reference, result.error);
    // A store has values only. A reference or a mask in it is an accident, and no password.
    if (isStandIn(result.value.reveal())) {
      throw new SecretUnreadableError(reference, `${address.provider} keeps a reference or a mask there`);
    }
    return result.value;
  }

  async close(): Promise<void> {
    const opened = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.allSettled(opened.map(async (reads) => (await reads).close()));
  }

  async #open(address: StoreAddress, reference: StoredReference): Promise<BatchReads> {
    const key = this.#placeOf(address);
    let opening = this.#opened.get(key);
    if (opening === undefined) {
      opening = this.#connect(address);
      this.#opened.set(key, opening);
      opening.catch(() => this.#opened.delete(key));
    }
    try {
      return await opening;
    } catch (error) {
      // Our own errors name settings; nobody else's text is passed on.
      const detail = error instanceof WorkerError ? error.message : `${address.provider} cannot be opened`;
      throw new SecretAccessError(reference, detail);
    }
  }

  async #connect(address: StoreAddress): Promise<BatchReads> {
    const { readers = {}, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options;
    // The name comes from an event: it may be that of something that every object has.
    const reader = Object.hasOwn(readers, address.provider) ? readers[address.provider] : undefined;
    if (reader !== undefined) {
      return new BatchReads({
        get: (references, signal) => reader.get(references, signal),
        requestTimeoutMs,
        close: async () => reader.close?.(),
      });
    }
    const known = readableProvider(address.provider);
    if (known === null) {
      throw new WorkerError(
        'STORE_ACCESS',
        `no reader for the store ${shownProvider(address.provider)} is configured (readers), and this version has none`,
      );
    }
    const texts = this.#textsFor(address);
    const settings: AnyManagerSettings = {
      values: readProviderValues(texts),
      ...{ databaseFile: null, tags: [], requestTimeoutMs },
    };
    // Opening would make an empty one, in which nothing is found for good.
    const missing = known.provider.missing?.(settings) ?? null;
    if (missing !== null) throw new WorkerError('STORE_ACCESS', `${address.provider}: ${missing}`);
    const fernetKeys = texts['FERNET_KEY'];
    const keys = fernetKeys === undefined ? NO_KEYS : KeyRing.parse('FERNET_KEY', fernetKeys);
    const { store } = await createSecretsManager(known.manager, settings, { keys });
    return new BatchReads({
      get: async (references, signal) => {
        const items: GetItem[] = references.map((reference) => ({ reference }));
        const call: StoreCall = { signal, admitWrite: refuseWrite };
        const results = await store.get(items, call);
        return results.map((result) => (result.ok ? { ok: true, value: result.value.value } : result));
      },
      requestTimeoutMs,
      close: () => store.close(),
    });
  }

  /** The settings, with what the event says in their place; what it does not say, or this version does not know, stays. */
  #textsFor(address: StoreAddress): Record<string, string | undefined> {
    const { settings = {} } = this.#options;
    const texts = Object.entries(settings).map(
      ([name, text]) => [name, text instanceof SecretValue ? text.reveal() : text] as const,
    );
    return { ...Object.fromEntries(texts), ...Object.fromEntries(settingsOfAddress(address)) };
  }

  #placeOf(address: StoreAddress): string {
    const known = PROVIDERS.find(({ name }) => name === address.provider);
    if (known === undefined) return JSON.stringify(Object.entries(address).sort());
    const texts = this.#textsFor(address);
    return JSON.stringify([address.provider, ...Object.values(known.location).map((name) => texts[name])]);
  }
}

/** The settings that an address stands for. */
function settingsOfAddress(address: StoreAddress): (readonly [string, string])[] {
  const location = PROVIDERS.find(({ name }) => name === address.provider)?.location ?? {};
  return Object.entries(location).flatMap(([word, name]) =>
    Object.hasOwn(address, word) && address[word] !== undefined ? [[name, address[word]] as const] : [],
  );
}

/** The stores of others seal nothing. */
const NO_KEYS = {
  seal: (): string => {
    throw new WorkerError('INTERNAL', 'a reader seals nothing');
  },
  open: (): string => {
    throw new WorkerError('INTERNAL', 'a reader of a cloud store opens nothing');
  },
};

function unresolved(
  reference: string,
  { class: errorClass, message }: Extract<StoreResult<never>, { ok: false }>['error'],
) {
  switch (errorClass) {
    case 'not-found':
      return new SecretNotFoundError(reference, message);
    case 'access':
    case 'credentials':
      return new SecretAccessError(reference, message);
    case 'invalid':
      return new SecretUnreadableError(reference, message);
    case 'transient':
    case 'quota':
    case 'conflict':
      return new SecretStoreUnavailableError(reference, message);
  }
}

/** It comes from an event. */
function shownProvider(provider: string): string {
  return /^[\w.-]{1,64}$/.test(provider) ? provider : 'of this event';
}
