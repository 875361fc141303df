import { ConfigurationError } from '../../errors.js';
import { nativeModuleError, requireSqlite } from '../../native-module.js';
import { SecretValue } from '../../secret-value.js';
import type { Reference } from '../../terms.js';
import { refusedByLimits } from '../limits.js';
import { notOwned, type Owner, type Ownership } from '../ownership.js';
import {
  aborted,
  asReference,
  failure,
  mapLimited,
  notFound,
  success,
  versionGone,
  withSecretId,
  type Description,
  type Fetched,
  type GetItem,
  type ListPage,
  type OwnedSecrets,
  type PutItem,
  type RestoreItem,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreLimits,
  type StoreResult,
  type DeleteItem,
} from '../port.js';
import { isVaultError, vaultFailure } from './errors.js';
import { openVaultFile } from './vault-file.js';
import { Vault, type VaultVersion } from './vault.js';
import type { SealingKeys } from '../settings.js';

const PROVIDER = 'local';
const LIST_PAGE = 200;

export const LOCAL_LIMITS: StoreLimits = { maxValueBytes: 65_536, maxIdLength: 2_048, refusedTexts: [] };

/**
 * Secrets in a SQLite file on this machine, each value sealed with the database's keys: development and demos.
 * Versions are numbered over the whole file and never come again, 100 per secret are kept.
 */
export class LocalStore implements SecretStore {
  readonly owned: OwnedSecrets = {
    list: (prefix, after) => Promise.resolve(guarded(() => this.#list(prefix, after ?? ''))),
    tag: ({ reference, connectionId }, call) =>
      withSecretId(PROVIDER, reference, call, async (id) => {
        await call.admitWrite();
        return guarded(() => this.#vault.write(() => this.#tag(id, connectionId)));
      }),
  };
  readonly #vault: Vault;
  readonly #keys: SealingKeys;
  readonly #ownership: Ownership;

  constructor(vault: Vault, keys: SealingKeys, ownership: Ownership) {
    this.#vault = vault;
    this.#keys = keys;
    this.#ownership = ownership;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return mapLimited(items, 1, async (item) => {
      if (call.signal.aborted) return aborted(PROVIDER);
      const refused = refusedByLimits(LOCAL_LIMITS, PROVIDER, item);
      if (refused !== null) return refused;
      await call.admitWrite();
      return guarded(() => this.#vault.write(() => this.#put(item)));
    });
  }

  get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    return mapLimited(items, 1, (item) =>
      withSecretId(PROVIDER, item.reference, call, (id) => guarded(() => this.#get(id, item.version))),
    );
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return withSecretId(PROVIDER, reference, call, (id) =>
      guarded(() => {
        const secret = this.#vault.secret(id);
        if (secret === null) return notFound(PROVIDER, id);
        return success({
          version: String(secret.current),
          ...this.#ownership.standingOf(secret.owner),
          scheduledForDeletion: false,
        });
      }),
    );
  }

  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, 1, (item) =>
      withSecretId<'deleted' | 'absent'>(PROVIDER, item.reference, call, async (id) => {
        await call.admitWrite();
        return guarded(() => this.#vault.write(() => this.#delete(id, item)));
      }),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    return withSecretId(PROVIDER, item.reference, call, async (id) => {
      await call.admitWrite();
      return guarded(() => this.#vault.write(() => this.#restore(id, item)));
    });
  }

  check(): Promise<StoreResult<{ detail: string }>> {
    return Promise.resolve(guarded(() => success({ detail: `${this.#vault.count()} secrets in the vault` })));
  }

  close(): Promise<void> {
    this.#vault.close();
    return Promise.resolve();
  }

  #list(prefix: string, after: string): StoreResult<ListPage> {
    const found = this.#vault.ownedAfter(prefix, after, LIST_PAGE);
    const secrets = found.map(({ id, owner }) => ({
      secretId: id,
      ...this.#ownership.standingOf(owner),
      scheduledForDeletion: false,
    }));
    return success({ secrets, next: found.length < LIST_PAGE ? null : (found.at(-1)?.id ?? null) });
  }

  #tag(secretId: string, connectionId: string): StoreResult<'tagged'> {
    const secret = this.#vault.secret(secretId);
    if (secret === null) return notFound(PROVIDER, secretId);
    const standing = this.#ownership.standingOf(secret.owner);
    if (standing.installation === 'another') return notOwned(PROVIDER, secretId, standing);
    this.#vault.setOwner(secretId, this.#ownership.ownerFor(connectionId, secret.owner?.isAdopted));
    return success('tagged');
  }

  #put(item: PutItem): StoreResult<Stored> {
    const existing = this.#vault.secret(item.secretId);
    if (existing === null) return this.#add(item, 'created', this.#ownership.ownerFor(item.connectionId));
    const standing = this.#ownership.standingOf(existing.owner);
    const verdict = this.#ownership.judge(standing, item);
    if (verdict === 'refuse') return notOwned(PROVIDER, item.secretId, standing);
    const effect = verdict === 'claim' ? 'adopted' : 'changed';
    const isAdopted = existing.owner === null || existing.owner.isAdopted === true;
    const owner = this.#ownership.ownerFor(item.connectionId, isAdopted);
    const repeated = this.#vault.versionByToken(item.secretId, item.requestKey);
    if (repeated === null) return this.#add(item, effect, owner);
    const earlier = this.#open(item.secretId, repeated);
    if (!earlier.ok) return earlier;
    if (!earlier.value.value.equals(item.value)) {
      return failure('conflict', `${PROVIDER}: the token of ${item.secretId} was used for another value`);
    }
    this.#vault.setOwner(item.secretId, owner);
    return success({ reference: asReference(item.secretId), version: earlier.value.version, effect });
  }

  #add(item: PutItem, effect: Stored['effect'], owner: Owner): StoreResult<Stored> {
    const sealed = this.#keys.seal(item.value.reveal());
    const version = this.#vault.add(item.secretId, owner, item.requestKey, sealed);
    return success({ reference: asReference(item.secretId), version: String(version), effect });
  }

  #get(secretId: string, version: string | undefined): StoreResult<Fetched> {
    const secret = this.#vault.secret(secretId);
    if (secret === null) return notFound(PROVIDER, secretId);
    const found = this.#vault.version(secretId, version === undefined ? secret.current : Number(version));
    if (found !== null) return this.#open(secretId, found);
    return versionGone(PROVIDER, secretId, version ?? String(secret.current));
  }

  #open(secretId: string, version: VaultVersion): StoreResult<Fetched> {
    try {
      const value = new SecretValue(this.#keys.open(version.sealed));
      return success({ value, version: String(version.version) });
    } catch {
      return failure('access', `${PROVIDER}: ${secretId} cannot be opened with the configured keys`);
    }
  }

  #delete(secretId: string, item: DeleteItem): StoreResult<'deleted' | 'absent'> {
    const secret = this.#vault.secret(secretId);
    if (secret === null) return success('absent');
    const standing = this.#ownership.standingOf(secret.owner);
    if (!this.#ownership.mayDelete(standing, item)) return notOwned(PROVIDER, secretId, standing);
    this.#vault.delete(secretId);
    return success('deleted');
  }

  #restore(secretId: string, item: RestoreItem): StoreResult<{ version: string }> {
    const secret = this.#vault.secret(secretId);
    if (secret === null) return notFound(PROVIDER, secretId);
    const standing = this.#ownership.standingOf(secret.owner);
    if (standing.ownedBy !== item.connectionId) return notOwned(PROVIDER, secretId, standing);
    const recorded = this.#vault.version(secretId, Number(item.version));
    if (recorded === null) return versionGone(PROVIDER, secretId, item.version);
    this.#vault.setCurrent(secretId, recorded.version);
    return success({ version: String(recorded.version) });
  }
}

function guarded<T>(work: () => StoreResult<T>): StoreResult<T> {
  try {
    return work();
  } catch (error) {
    if (isVaultError(error)) return vaultFailure(error);
    throw error;
  }
}

/**
 * Opens the vault file and the store on it.
 *
 * @param busyTimeoutMs how long a statement waits for another process's lock
 * @throws ConfigurationError CONFIG_INVALID, naming the file, where it cannot be opened or is no vault
 */
export function openLocalStore(
  file: string,
  keys: SealingKeys,
  busyTimeoutMs: number,
  ownership: Ownership,
): LocalStore {
  return new LocalStore(openVault(file, busyTimeoutMs), keys, ownership);
}

/** The vault itself, for sealing its tokens anew. Errors as {@link openLocalStore}. */
export function openVault(file: string, busyTimeoutMs: number): Vault {
  requireSqlite();
  try {
    return new Vault(openVaultFile(file, busyTimeoutMs));
  } catch (error) {
    const unloadable = nativeModuleError(error);
    if (unloadable !== null) throw unloadable;
    const reason = vaultFailure(error).error.message;
    throw new ConfigurationError('CONFIG_INVALID', `the vault file ${file} cannot be opened (${reason})`);
  }
}
