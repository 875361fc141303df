import { FERNET_PREFIX, SECRET_PREFIX, type Reference } from '../terms.js';
import type { StoreCall, StoreError, StoreErrorClass, StoreResult } from './port.js';

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
