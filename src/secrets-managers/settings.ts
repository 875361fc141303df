import type { SecretValue } from '../secret-value.js';
import type { Installation } from '../terms.js';

/** What the providers need to be told; each reads its own part. */
export interface ManagerSettings {
  /** AWS region; without one the SDK's default chain decides. */
  readonly region?: string;
  /** Both keys or neither; without them the SDK's default credential chain is used. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: SecretValue;
  /** Address of an emulator. */
  readonly endpointUrl?: string;
  /** Who writes; nobody where a store is opened to be read only. */
  readonly installation?: Installation;
  /** Put on every secret we create, next to the ownership tags. */
  readonly tags: readonly Tag[];
  readonly ssmTier: SsmTier;
  /** The longest one request may take, from its admission to the last byte of its answer; nothing is sent later. */
  readonly requestTimeoutMs: number;
  /** Secrets Manager: days in which a deleted secret can be restored (7 to 30). */
  readonly recoveryWindowDays: number;
  /** Secrets Manager: delete at once, without a recovery window. */
  readonly forceDelete: boolean;
  /** The `local` provider's file. */
  readonly vaultFile: string;
  /** An id that does not exist, under the prefix our permissions cover: `check` asks for it. */
  readonly checkId?: string;
}

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export type SsmTier = 'standard' | 'advanced';

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
