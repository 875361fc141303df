import type { Installation } from '../terms.js';

/** What a store is opened with: the settings of its provider, and what all of them share. */
export interface ManagerSettings<V> {
  /** The provider's own settings, as its table reads them. */
  readonly values: V;
  /** The SQLite database, beside which a provider may keep a file; null: the database is a server's. */
  readonly databaseFile: string | null;
  /** Who writes; nobody where a store is opened to be read only. */
  readonly installation?: Installation;
  /** Put on every secret we create, next to the ownership tags. */
  readonly tags: readonly Tag[];
  /** The longest one request may take, from its admission to the last byte of its answer; nothing is sent later. */
  readonly requestTimeoutMs: number;
  /** An id that does not exist, under the prefix our permissions cover: `check` asks for it. */
  readonly checkId?: string;
}

export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** Seals and opens texts under the database's keys; the key ring of `src/fernet` is one. */
export interface SealingKeys {
  /** A Fernet token without prefix. */
  seal(text: string): string;
  /** Throws where no key opens the token. */
  open(token: string): string;
}

/** One request to a store, for metrics. */
export interface StoreRequest {
  readonly provider: string;
  /** The store's own name of the call, e.g. `PutSecretValue`. */
  readonly call: string;
  /** `ok` or the name of the error. */
  readonly result: string;
  readonly durationMs: number;
}

export interface ManagerDeps {
  readonly keys: SealingKeys;
  /** Told of every write that the store throttled: the write limiter slows down. */
  readonly onThrottle?: () => void;
  /** Told of every request to a store. */
  readonly onRequest?: (request: StoreRequest) => void;
}
