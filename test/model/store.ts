import type { Capabilities } from '../../src/secrets-managers/port.js';
import { COUNTED, idsOf } from './key.js';
import { storeOf, type Request, type State, type Store } from './state.js';

/**
 * One provider of each set of capabilities: history and request keys (and a stage that compares when it is moved); history
 * alone, the last version is current; history, and writes that compare. Versions of the last one count from 1, and do so
 * anew after a deletion.
 */
export const STORE_KINDS = {
  'secrets-manager': { requestKeys: true, compareAndSet: false },
  ssm: { requestKeys: false, compareAndSet: false },
  vault: { requestKeys: false, compareAndSet: true },
} as const satisfies Record<string, Pick<Capabilities, 'requestKeys' | 'compareAndSet'>>;

export type StoreKind = keyof typeof STORE_KINDS;
export const STORE_NAMES = Object.keys(STORE_KINDS) as StoreKind[];

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
      store.epoch = 0;
      return { kind: 'ok', version: 0 };
    case 'move':
      if (!isThere) return { kind: 'not-found' };
      if (store.current !== request.from) return { kind: 'changed' };
      store.current = request.to;
      return { kind: 'ok', version: request.to };
    case 'create':
      if (STORE_KINDS[kind].compareAndSet) return landCompared(state, store, request);
      if (isThere) return { kind: 'exists' };
      break;
    case 'put':
      if (STORE_KINDS[kind].compareAndSet) return landCompared(state, store, request);
      // PutSecretValue needs an existing secret. PutParameter with Overwrite makes one.
      if (!isThere && kind === 'secrets-manager') return { kind: 'not-found' };
  }
  if (!STORE_KINDS[kind].requestKeys) {
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

/** KV version 2 with `cas`. */
function landCompared(
  state: State,
  store: Store,
  { value, epoch, expected }: Extract<Request, { op: 'create' | 'put' }>,
): Answer {
  if (expected !== null && expected !== store.current) return { kind: 'changed' };
  if (epoch < store.epoch)
    state.broken = 'a late request of a former claim takes the place of what a later one has written';
  const id = Math.max(store.current, COUNTED) + 1;
  store.versions.push({ id, value });
  store.current = id;
  store.epoch = epoch;
  return { kind: 'ok', version: id };
}

/** Removes versions that nothing names any more. */
export function forgetVersions(state: State): void {
  // A single one is current.
  if (state.stores.every(({ versions }) => versions.length < 2)) return;
  const known = new Set(idsOf(state));
  for (const store of state.stores)
    store.versions = store.versions.filter(({ id }) => (id >= TOKEN_IDS && id < COUNTED) || known.has(id));
}
