import { EventError, WorkerError } from '../errors.js';
import { tokenOf } from '../fernet/index.js';
import { SecretValue } from '../secret-value.js';
import type { Fetched, StoreCall, StoreError, StoreResult } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { PlanContext } from './context.js';
import type { CopySource } from './copy-source.js';
import { toReference } from './references.js';

/** A value that is to be copied, and the field that it is for. */
export interface Copy {
  readonly path: string;
  readonly from: CopySource;
}

/** Values by path; or why one of them can not be had: refused for good, or passing. */
export type CopiedValues =
  | { readonly kind: 'read'; readonly values: ReadonlyMap<string, SecretValue> }
  | { readonly kind: 'refused'; readonly error: EventError }
  | { readonly kind: 'failed'; readonly error: WorkerError };

/**
 * Reads what is to be copied, from wherever it is kept, in as few calls as the stores allow.
 *
 * @throws ConfigurationError where a former manager can not be opened with the present configuration
 */
export async function readCopies(
  copies: readonly Copy[],
  { managers, rings }: Pick<PlanContext, 'managers' | 'rings'>,
  call: StoreCall,
): Promise<CopiedValues> {
  const values = new Map<string, SecretValue>();
  const byManager = new Map<ManagerName, StoredCopy[]>();
  for (const { path, from } of copies) {
    if (from.kind === 'sealed') values.set(path, new SecretValue(rings.database.open(tokenOf(from.token))));
    else byManager.set(from.manager, [...(byManager.get(from.manager) ?? []), { path, from }]);
  }
  for (const [name, group] of byManager) {
    const { store } = await managers.of(name);
    const results = await store.get(group.map(itemOf), call);
    for (const [index, { path }] of group.entries()) {
      const result: StoreResult<Fetched> | undefined = results[index];
      if (result === undefined) throw new TypeError(`the store gave no answer for ${path}`);
      if (!result.ok) return unreadable(path, result.error);
      values.set(path, result.value.value);
    }
  }
  return { kind: 'read', values };
}

interface StoredCopy {
  readonly path: string;
  readonly from: Extract<CopySource, { kind: 'stored' }>;
}

function itemOf({ from: { secretId, version } }: StoredCopy) {
  const reference = toReference(secretId);
  return version === null ? { reference } : { reference, version };
}

function unreadable(path: string, error: StoreError): CopiedValues {
  if (error.class === 'not-found')
    return {
      kind: 'refused',
      error: new EventError('SECRET_VERSION_GONE', `${path}: the recorded version is not in the store`, path),
    };
  const isAccess = error.class === 'access' || error.class === 'credentials';
  const code = isAccess ? 'STORE_ACCESS' : 'STORE_UNAVAILABLE';
  return { kind: 'failed', error: new WorkerError(code, error.message) };
}
