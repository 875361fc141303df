import { sha256Hex } from '../../hash.js';
import { SecretValue } from '../../secret-value.js';
import { FERNET_PREFIX, type Reference } from '../../terms.js';
import { refusedByLimits } from '../limits.js';
import {
  aborted,
  failure,
  notFound,
  secretIdOf,
  success,
  tokenOf,
  type Description,
  type Fetched,
  type GetItem,
  type PutItem,
  type RestoreItem,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreLimits,
  type StoreResult,
  type DeleteItem,
} from '../port.js';
import type { SealingKeys } from '../settings.js';

const PROVIDER = 'db';

/** A record of a topic cannot be larger than this anyway, and a token is a third longer than its value. */
export const SEALED_LIMITS: StoreLimits = { maxValueBytes: 524_288, maxIdLength: 2_048, refusedTexts: [] };

/** A sealed value is its own version: an excerpt of a digest of the token, which is a new one at every sealing. */
function versionOf(token: string): string {
  return sha256Hex(token).slice(0, 32);
}

/**
 * The store of the manager `db`: there is none. `put` seals the value under the database's keys and hands it back as
 * `fernet:` token, which the caller keeps; no request is made, so nothing is admitted and nothing can be left behind.
 */
export class SealedStore implements SecretStore {
  readonly owned = null;
  readonly #keys: SealingKeys;

  constructor(keys: SealingKeys) {
    this.#keys = keys;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return Promise.resolve(items.map((item) => this.#seal(item, call)));
  }

  get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    return Promise.resolve(
      items.map((item) => (call.signal.aborted ? aborted(PROVIDER) : this.#open(item.reference))),
    );
  }

  describe(reference: Reference): Promise<StoreResult<Description>> {
    const token = tokenOf(reference);
    if (token === null) return Promise.resolve(this.#noNames(reference));
    return Promise.resolve(
      success({
        version: versionOf(token),
        ownedBy: null,
        installation: 'missing',
        scheduledForDeletion: false,
      }),
    );
  }

  /** Nothing lies anywhere that could be deleted: the token goes with its row. */
  delete(items: readonly DeleteItem[]): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return Promise.resolve(items.map(() => success('absent' as const)));
  }

  /** A token never changes under its owner: what the caller holds is what is current. */
  restore(item: RestoreItem): Promise<StoreResult<{ version: string }>> {
    const token = tokenOf(item.reference);
    return Promise.resolve(
      token === null ? this.#noNames(item.reference) : success({ version: versionOf(token) }),
    );
  }

  check(): Promise<StoreResult<{ detail: string }>> {
    return Promise.resolve(success({ detail: 'values are kept sealed in the database' }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #seal(item: PutItem, call: StoreCall): StoreResult<Stored> {
    if (call.signal.aborted) return aborted(PROVIDER);
    const refused = refusedByLimits(SEALED_LIMITS, PROVIDER, item);
    if (refused !== null) return refused;
    const token = this.#keys.seal(item.value.reveal());
    return success({
      reference: `${FERNET_PREFIX}${token}`,
      version: versionOf(token),
      effect: item.known ? 'changed' : 'created',
    });
  }

  #open(reference: Reference): StoreResult<Fetched> {
    const token = tokenOf(reference);
    if (token === null) return this.#noNames(reference);
    try {
      return success({ value: new SecretValue(this.#keys.open(token)), version: versionOf(token) });
    } catch {
      // The codec's own error stays here: only that it failed is of use, and it may quote the token.
      return failure('access', `${PROVIDER}: a sealed value cannot be opened with the configured keys`);
    }
  }

  #noNames(reference: Reference): StoreResult<never> {
    return notFound(PROVIDER, secretIdOf(reference) ?? 'of that name');
  }
}
