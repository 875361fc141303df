import { idsOf } from './key.js';
import { storeOf, type Request, type State } from './state.js';

/** Secrets Manager has tokens, versions, and a stage with compare-and-set. SSM counts versions, and the last one is current. */
export type StoreKind = 'secrets-manager' | 'ssm';

export type Answer =
  { readonly kind: 'ok'; readonly version: number } | { readonly kind: 'exists' | 'not-found' | 'changed' };

/** Versions from a token without an epoch, by event: the same token gives the same version. */
export const TOKEN_IDS = 1_000;

/** Records reach the topic. */
export function landRecords(state: State, revisions: readonly number[]): void {
  const last = revisions.at(-1) ?? 0;
  if (last > 0) state.topic = last;
  state.missing = state.missing.filter((revision) => !revisions.includes(revision));
}

/** A request reaches the store. The API pages of both services say what it does; src/secrets-managers/aws-* sends it. */
export function land(state: State, kind: StoreKind, request: Request): Answer {
  if (request.op === 'send') {
    landRecords(state, request.revisions);
    return { kind: 'ok', version: 0 };
  }
  const store = storeOf(state, request.store);
  const isThere = store.versions.length > 0;
  switch (request.op) {
    case 'delete':
      store.versions = [];
      store.current = 0;
      return { kind: 'ok', version: 0 };
    case 'move':
      if (!isThere) return { kind: 'not-found' };
      if (store.current !== request.from) return { kind: 'changed' };
      store.current = request.to;
      return { kind: 'ok', version: request.to };
    case 'create':
      if (isThere) return { kind: 'exists' };
      break;
    case 'put':
      // PutSecretValue needs an existing secret. PutParameter with Overwrite makes one.
      if (!isThere && kind === 'secrets-manager') return { kind: 'not-found' };
  }
  if (kind === 'ssm') {
    const id = state.nextId;
    state.nextId += 1;
    store.versions.push({ id, value: request.value });
    store.current = id;
    return { kind: 'ok', version: id };
  }
  const known = store.versions.find(({ id }) => id === request.id);
  // The same token again changes nothing, not even which version is current.
  if (known !== undefined) return { kind: 'ok', version: known.id };
  store.versions.push({ id: request.id, value: request.value });
  store.current = request.id;
  return { kind: 'ok', version: request.id };
}

/** Removes versions that nothing names any more. */
export function forgetVersions(state: State): void {
  const known = new Set(idsOf(state));
  for (const store of state.stores)
    store.versions = store.versions.filter(({ id }) => id >= TOKEN_IDS || known.has(id));
}
