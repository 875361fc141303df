import { existsSync } from 'node:fs';
import type { GetItem, SecretStore, StoreCall, StoreResult } from '../secrets-managers/port.js';
import { createSecretsManager } from '../secrets-managers/registry.js';
import type { ManagerSettings } from '../secrets-managers/settings.js';
import { isStandIn } from '../catalog/secret-text.js';
import { WorkerError } from '../errors.js';
import { KeyRing } from '../fernet/index.js';
import type { SecretValue } from '../secret-value.js';
import type { ManagerName } from '../terms.js';
import { BatchReads } from './batch-reads.js';
import {
  SecretAccessError,
  SecretNotFoundError,
  SecretStoreUnavailableError,
  SecretUnreadableError,
} from './errors.js';

/** Where a value is kept: `store` of a secured event. */
export interface StoreAddress {
  /** `aws-secrets-manager`, `aws-ssm`, `local`, or a name of one's own with a reader in {@link StoreOptions.readers}. */
  readonly provider: string;
  readonly region?: string;
}

/** Reads from a store this library does not know. */
export interface SecretReader {
  /**
   * Results of the same length and order as the references (`secret:…`). What the store says of one of them is a result;
   * a rejection counts as "store down" for all.
   */
  get(references: readonly string[], signal: AbortSignal): Promise<StoreResult<SecretValue>[]>;
  close?(): Promise<void>;
}

export interface AwsOptions {
  /** Where the event names none; default: the SDK's own. */
  readonly region?: string;
  /** Both or neither; default: the SDK's credential chain (environment, profile, role). */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: SecretValue;
  /** An emulator's address. */
  readonly secretsManagerEndpoint?: string;
  readonly ssmEndpoint?: string;
  /** The longest one request may take. Default 5,000. */
  readonly requestTimeoutMs?: number;
}

/** The worker's vault file (`SECRET_MANAGER=local`) on this machine: development and demos. */
export interface LocalOptions {
  /** LOCAL_VAULT_FILE. It must be there: it is read, never made. */
  readonly vaultFile: string;
  /** FERNET_KEY of the worker, a comma list: what the vault is sealed with. */
  readonly fernetKeys: string;
}

export interface StoreOptions {
  readonly aws?: AwsOptions;
  readonly local?: LocalOptions;
  /** By provider name; they come before the built-in ones. */
  readonly readers?: Readonly<Record<string, SecretReader>>;
}

const MANAGERS: ReadonlyMap<string, ManagerName> = new Map([
  ['aws-secrets-manager', 'managed-aws'],
  ['aws-ssm', 'managed-aws-ssm'],
]);
const REQUEST_TIMEOUT_MS = 5_000;

type StoredReference = `secret:${string}`;

/** Reading is all this is for. */
const refuseWrite = (): Promise<void> =>
  Promise.reject(new WorkerError('INTERNAL', 'an ingestion worker does not write to the store'));

/** The stores that events name, each opened when it is first asked, references of all callers in common batches. */
export class Stores {
  readonly #options: StoreOptions;
  readonly #opened = new Map<string, Promise<BatchReads>>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Two references are the same secret where this is equal. */
  keyOf(address: StoreAddress, reference: StoredReference): string {
    return JSON.stringify([address.provider, this.#regionOf(address) ?? null, reference]);
  }

  /** @throws UnresolvedReferenceError one of its classes, naming the reference */
  async read(address: StoreAddress, reference: StoredReference): Promise<SecretValue> {
    const reads = await this.#open(address, reference);
    const result = await reads.read(reference);
    if (!result.ok) throw unresolved(reference, result.error);
    // The store keeps values. A reference or a mask in there is somebody's accident, and no password.
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
    const key = JSON.stringify([address.provider, this.#regionOf(address) ?? null]);
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
    const { readers = {} } = this.#options;
    // The name comes from an event: it may be that of something that every object has.
    const reader = Object.hasOwn(readers, address.provider) ? readers[address.provider] : undefined;
    if (reader !== undefined) {
      return new BatchReads({
        get: (references, signal) => reader.get(references, signal),
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        close: async () => reader.close?.(),
      });
    }
    const { local } = this.#options;
    if (address.provider === 'local' && local !== undefined) return this.#openVault(local);
    const manager = MANAGERS.get(address.provider);
    if (manager === undefined) {
      throw new WorkerError(
        'STORE_ACCESS',
        `no reader for the store ${shownProvider(address.provider)} is configured (readers)`,
      );
    }
    const settings = this.#settings(address, manager);
    const { store } = await createSecretsManager(manager, settings, { keys: NO_KEYS });
    return readsOf(store, settings.requestTimeoutMs);
  }

  async #openVault({ vaultFile, fernetKeys }: LocalOptions): Promise<BatchReads> {
    // Opening would make an empty one, in which nothing is found for good.
    if (!existsSync(vaultFile)) throw new WorkerError('STORE_ACCESS', 'local: the vault file is not there');
    const keys = KeyRing.parse('FERNET_KEY', fernetKeys);
    const settings = { ...this.#settings({ provider: 'local' }, 'local'), vaultFile };
    const { store } = await createSecretsManager('local', settings, { keys });
    return readsOf(store, settings.requestTimeoutMs);
  }

  #regionOf(address: StoreAddress): string | undefined {
    return address.region ?? this.#options.aws?.region;
  }

  #settings(address: StoreAddress, manager: ManagerName): ManagerSettings {
    const { aws = {} } = this.#options;
    const region = this.#regionOf(address);
    const endpointUrl = manager === 'managed-aws' ? aws.secretsManagerEndpoint : aws.ssmEndpoint;
    return {
      ...(region === undefined ? {} : { region }),
      ...(endpointUrl === undefined ? {} : { endpointUrl }),
      ...(aws.accessKeyId === undefined ? {} : { accessKeyId: aws.accessKeyId }),
      ...(aws.secretAccessKey === undefined ? {} : { secretAccessKey: aws.secretAccessKey }),
      requestTimeoutMs: aws.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      // Of no meaning to a reader.
      ...{ tags: [], ssmTier: 'standard', recoveryWindowDays: 7, forceDelete: false, vaultFile: '' },
    };
  }
}

/** The cloud stores seal nothing. */
const NO_KEYS = {
  seal: (): string => {
    throw new WorkerError('INTERNAL', 'a reader seals nothing');
  },
  open: (): string => {
    throw new WorkerError('INTERNAL', 'a reader of a cloud store opens nothing');
  },
};

function readsOf(store: SecretStore, requestTimeoutMs: number): BatchReads {
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
