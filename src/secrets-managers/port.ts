import type { ErrorCode } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import { type ManagerName, type Reference, FERNET_PREFIX, SECRET_PREFIX } from '../terms.js';
import type { Standing } from './ownership.js';

/**
 * How a store can fail. Only `not-found` means absent: a secret that cannot be read is not a secret that is not there.
 *
 * - `transient`: throttling, 5xx, network, time-out
 * - `access`: permissions: this id, or all of them
 * - `credentials`: ours are expired, unknown or not to be had: it concerns every id
 * - `quota`: the account's number of secrets is used up
 * - `conflict`: somebody else's secret (`SECRET_NOT_OWNED`), or a change at the same time
 * - `invalid`: the store refuses the name or the value as such
 */
export type StoreErrorClass =
  'not-found' | 'transient' | 'access' | 'credentials' | 'quota' | 'conflict' | 'invalid';

/**
 * A failed call for one secret. `message` names provider, call and error name, never the text of the SDK.
 * `applied`: whether the request may have changed the store (`unknown` after a time-out, a dropped connection or a 5xx).
 */
export interface StoreError {
  readonly class: StoreErrorClass;
  readonly code: Extract<
    ErrorCode,
    | 'STORE_UNAVAILABLE'
    | 'STORE_ACCESS'
    | 'SECRET_NOT_FOUND'
    | 'SECRET_NOT_OWNED'
    | 'VALUE_REFUSED_BY_STORE'
    | 'SECRET_VERSION_GONE'
  >;
  readonly applied: 'no' | 'unknown';
  readonly message: string;
}

export type StoreResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: StoreError };

/** What every call carries. */
export interface StoreCall {
  readonly signal: AbortSignal;
  /**
   * Awaited immediately before every single request that changes the store (each attempt anew). Waits for its turn
   * under the write limit, then throws where the caller's claim has less time left than the request may take.
   */
  readonly admitWrite: () => Promise<void>;
}

export interface PutItem {
  readonly secretId: string;
  readonly value: SecretValue;
  readonly connectionId: string;
  /** Whether the database knows this id as ours: a new one is created first, a known one is changed first. */
  readonly known: boolean;
  /**
   * The recorded version that this value takes the place of, where one is known. A store that compares and sets changes
   * nothing where another one is current, and looks first whose it is.
   */
  readonly expectedVersion?: string;
  /**
   * What this request is known by, 32 to 64 characters; an adapter makes its idempotency token of it, where its store has
   * such: the same key with the same value is a no-op. Contains the claim's epoch, so that a redelivered write of a later
   * claim is a write.
   */
  readonly requestKey: string;
  /** May take over a secret that carries no tag of ours (SECRET_ADOPT). */
  readonly adopt: boolean;
  /** Refused with `SECRET_NOT_OWNED` where there is a secret of this name already, even ours. */
  readonly createOnly?: boolean;
  /** May take over a secret that carries the tag of this other connection of ours (its id was retired and is free). */
  readonly takeOverFrom?: string;
}

export interface Stored {
  readonly reference: Reference;
  /** The store's version of this value; a new one for every change. */
  readonly version: string;
  readonly effect: 'created' | 'changed' | 'adopted' | 'restored';
}

export interface GetItem {
  readonly reference: Reference;
  /** A recorded version instead of the current one. */
  readonly version?: string;
}

export interface Fetched {
  readonly value: SecretValue;
  readonly version: string;
}

export interface Description extends Standing {
  readonly version: string;
  readonly scheduledForDeletion: boolean;
}

export interface DeleteItem {
  readonly reference: Reference;
  readonly connectionId: string;
  /** Whether a value of ours was committed under this name. Without one, what was adopted is not deleted. */
  readonly isCommitted: boolean;
}

export interface RestoreItem {
  readonly reference: Reference;
  readonly connectionId: string;
  readonly version: string;
  /** As that of a {@link PutItem}. */
  readonly requestKey: string;
}

/** A secret that carries our tags, of whatever installation. */
export interface ListedSecret extends Standing {
  readonly secretId: string;
  readonly scheduledForDeletion: boolean;
}

export interface ListPage {
  readonly secrets: readonly ListedSecret[];
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null;
}

/** What operators' commands need of a store that keeps secrets, and the way of an event does not. */
export interface OwnedSecrets {
  /** Secrets with our tags whose id begins with `prefix`, page by page; `after` null: the first page. Reads only. */
  list(prefix: string, after: string | null, call: StoreCall): Promise<StoreResult<ListPage>>;
  /**
   * Puts our tags (and the configured ones) on a secret as it is, whatever connection of ours it is tagged for; no value
   * moves. Another installation's is left alone (`SECRET_NOT_OWNED`).
   */
  tag(
    item: { readonly reference: Reference; readonly connectionId: string },
    call: StoreCall,
  ): Promise<StoreResult<'tagged'>>;
}

/**
 * The one port to a key management store. Arrays in and out have the same length and order; no method throws for what
 * the store says of one item. Methods throw only what `admitWrite` throws, and for defects.
 */
export interface SecretStore {
  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]>;
  get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]>;
  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>>;
  /**
   * Deletes what carries our tag for this connection; absent already is success. Anything else is `conflict`, and so is
   * what was adopted while no value of ours was committed.
   */
  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]>;
  /** Makes a recorded version the current one again; returns the version that is current afterwards. */
  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>>;
  /** Reachable and permitted? Reads only. */
  check(call: StoreCall): Promise<StoreResult<{ detail: string }>>;
  /** Null where nothing of ours lies in a store (`db` and the managers that are not managed). */
  readonly owned: OwnedSecrets | null;
  close(): Promise<void>;
}

/** Limits that are checked before anything is written. */
export interface StoreLimits {
  /** In UTF-8 bytes. */
  readonly maxValueBytes: number;
  readonly maxIdLength: number;
  /** Levels of the id, where the store counts them. */
  readonly maxIdLevels?: number;
  /** Texts the store refuses anywhere in a value. */
  readonly refusedTexts: readonly string[];
  /** A pattern of ids that the store refuses, with the reason for the message. */
  readonly refusedId?: { readonly pattern: RegExp; readonly reason: string };
}

/** In what stores differ by their nature. */
export interface Capabilities {
  /** Earlier versions are kept: one can be read, and made current again. */
  readonly history: boolean;
  /** A write may name the version that it replaces, and is refused where another one is current. */
  readonly compareAndSet: boolean;
  /** What we delete can be brought back for a time. */
  readonly softDelete: boolean;
  /** Of two that create one name, one is refused. */
  readonly atomicCreate: boolean;
  /** The same request key with the same value is a no-op. */
  readonly requestKeys: boolean;
  /** How many values one request reads. */
  readonly readsARequest: number;
  /** A page of a list says whose each secret is; else that is a request for each. */
  readonly tellsOwnersInLists: boolean;
}

export type IdStyle = 'slash' | 'azure' | 'gcp' | 'kubernetes';

/** A configured secrets manager: the store, and what the pipeline must know of it. */
export interface SecretsManager {
  readonly name: ManagerName;
  /** The provider's word for logs, metrics and events. */
  readonly provider: string;
  readonly capabilities: Capabilities;
  /** Where names are looked up, in the store's own words: `region`, `account`, … Stands in secured events. */
  readonly location: Readonly<Record<string, string>>;
  /**
   * `store`: values go to the store, the database keeps references. `database`: values stay with us as `fernet:` tokens
   * (no store, and the non-managed managers); `put` seals and makes no call.
   */
  readonly keeps: 'store' | 'database';
  readonly idStyle: IdStyle;
  readonly limits: StoreLimits;
  readonly store: SecretStore;
}

/** The code that goes with a class where nothing more precise is known. */
const CODE_OF_CLASS: Readonly<Record<StoreErrorClass, StoreError['code']>> = {
  'not-found': 'SECRET_NOT_FOUND',
  transient: 'STORE_UNAVAILABLE',
  access: 'STORE_ACCESS',
  credentials: 'STORE_ACCESS',
  quota: 'STORE_UNAVAILABLE',
  conflict: 'STORE_UNAVAILABLE',
  invalid: 'VALUE_REFUSED_BY_STORE',
};

export type Failure = Extract<StoreResult<never>, { ok: false }>;

export function success<T>(value: T): StoreResult<T> {
  return { ok: true, value };
}

/** A failed result; `applied` is `no` unless said otherwise. */
export function failure(
  errorClass: StoreErrorClass,
  message: string,
  more: { code?: StoreError['code']; applied?: StoreError['applied'] } = {},
): Failure {
  return {
    ok: false,
    error: {
      class: errorClass,
      code: more.code ?? CODE_OF_CLASS[errorClass],
      applied: more.applied ?? 'no',
      message,
    },
  };
}

export function aborted(provider: string): Failure {
  return failure('transient', `${provider}: the call was aborted before it was sent`);
}

export function notFound(provider: string, secretId: string): Failure {
  return failure('not-found', `${provider}: there is no secret ${secretId}`);
}

export function versionGone(provider: string, secretId: string, version: string): Failure {
  return failure('not-found', `${provider}: the secret ${secretId} no longer has the version ${version}`, {
    code: 'SECRET_VERSION_GONE',
  });
}

export function asReference(secretId: string): Reference {
  return `${SECRET_PREFIX}${secretId}`;
}

/** The secret id behind a `secret:` reference; null for a `fernet:` token. */
export function secretIdOf(reference: Reference): string | null {
  return reference.startsWith(SECRET_PREFIX) ? reference.slice(SECRET_PREFIX.length) : null;
}

/** The token behind a `fernet:` reference; null for a name. */
export function tokenOf(reference: Reference): string | null {
  return reference.startsWith(FERNET_PREFIX) ? reference.slice(FERNET_PREFIX.length) : null;
}

/** A store that keeps names was handed a sealed value: it says so without repeating the token. */
export function notAName(provider: string): Failure {
  return failure('invalid', `${provider}: a sealed value is no name of a secret`);
}

/** The result of `use` for a reference that names a secret. */
export async function withSecretId<T>(
  provider: string,
  reference: Reference,
  call: StoreCall,
  use: (secretId: string) => Promise<StoreResult<T>> | StoreResult<T>,
): Promise<StoreResult<T>> {
  const secretId = secretIdOf(reference);
  if (secretId === null) return notAName(provider);
  return call.signal.aborted ? aborted(provider) : await use(secretId);
}

/**
 * `work` for every item, at most `limit` at a time, results in the order of the items. When one throws (a claim that ran
 * out) no further one is begun, those under way are awaited, then the first error is thrown: after this function has
 * returned or thrown, nothing it started can still reach the store.
 */
export async function mapLimited<I, O>(
  items: readonly I[],
  limit: number,
  work: (item: I, index: number) => Promise<O>,
): Promise<O[]> {
  const results = new Array<O>(items.length);
  const errors: unknown[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) {
      try {
        results[index] = await work(item, index);
      } catch (error) {
        errors.push(error);
      }
      if (errors.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (errors.length > 0) throw errors[0];
  return results;
}
