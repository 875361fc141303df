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
  type ListedSecret,
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

const PROVIDER = 'in-memory';
const VERSIONS_KEPT = 100;

export const IN_MEMORY_LIMITS: StoreLimits = { maxValueBytes: 65_536, maxIdLength: 2_048, refusedTexts: [] };

interface Version {
  readonly version: string;
  readonly token: string | null;
  readonly value: SecretValue;
}

interface Entry {
  owner: Owner | null;
  current: Version;
  versions: Version[];
}

/** Secrets in the memory of this process: for tests. Versions are numbered over all secrets and never come again. */
export class InMemoryStore implements SecretStore {
  readonly owned: OwnedSecrets = {
    list: (prefix) => Promise.resolve(success({ secrets: this.#listed(prefix), next: null })),
    tag: ({ reference, connectionId }, call) =>
      withSecretId(PROVIDER, reference, call, async (id) => {
        await call.admitWrite();
        const entry = this.#entries.get(id);
        if (entry === undefined) return notFound(PROVIDER, id);
        const standing = this.#ownership.standingOf(entry.owner);
        if (standing.installation === 'another') return notOwned(PROVIDER, id, standing);
        entry.owner = this.#ownership.ownerFor(connectionId, entry.owner?.isAdopted);
        return success('tagged' as const);
      }),
  };
  readonly #entries: Map<string, Entry>;
  readonly #ownership: Ownership;
  readonly #versions: { last: number };

  constructor(ownership: Ownership, shared?: InMemoryStore) {
    this.#ownership = ownership;
    this.#entries = shared === undefined ? new Map<string, Entry>() : shared.#entries;
    this.#versions = shared === undefined ? { last: 0 } : shared.#versions;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return mapLimited(items, 1, (item) => this.#put(item, call));
  }

  get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    return mapLimited(items, 1, (item) =>
      withSecretId(PROVIDER, item.reference, call, (id) => this.#get(id, item.version)),
    );
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return withSecretId(PROVIDER, reference, call, (id) => {
      const entry = this.#entries.get(id);
      if (entry === undefined) return notFound(PROVIDER, id);
      const standing = this.#ownership.standingOf(entry.owner);
      return success({ version: entry.current.version, ...standing, scheduledForDeletion: false });
    });
  }

  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, 1, (item) =>
      withSecretId<'deleted' | 'absent'>(PROVIDER, item.reference, call, async (id) => {
        await call.admitWrite();
        const entry = this.#entries.get(id);
        if (entry === undefined) return success('absent');
        const standing = this.#ownership.standingOf(entry.owner);
        if (!this.#ownership.mayDelete(standing, item)) return notOwned(PROVIDER, id, standing);
        this.#entries.delete(id);
        return success('deleted');
      }),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    return withSecretId(PROVIDER, item.reference, call, async (id) => {
      await call.admitWrite();
      const entry = this.#entries.get(id);
      if (entry === undefined) return notFound(PROVIDER, id);
      const standing = this.#ownership.standingOf(entry.owner);
      if (standing.ownedBy !== item.connectionId) return notOwned(PROVIDER, id, standing);
      const recorded = entry.versions.find((version) => version.version === item.version);
      if (recorded === undefined) return versionGone(PROVIDER, id, item.version);
      entry.current = recorded;
      return success({ version: recorded.version });
    });
  }

  check(): Promise<StoreResult<{ detail: string }>> {
    return Promise.resolve(success({ detail: `${this.#entries.size} secrets in memory` }));
  }

  close(): Promise<void> {
    this.#entries.clear();
    return Promise.resolve();
  }

  /** The same memory as another installation sees it: what ownership is tried against, as the next method. */
  as(ownership: Ownership): InMemoryStore {
    return new InMemoryStore(ownership, this);
  }

  /** A secret that somebody else put there, by default without our tags: what adoption and ownership are tried against. */
  placeUnowned(secretId: string, value: SecretValue, owner: Owner | null = null): void {
    this.#entries.set(secretId, this.#newEntry(owner, { value, token: null }));
  }

  ownerOf(secretId: string): Owner | null {
    return this.#entries.get(secretId)?.owner ?? null;
  }

  #listed(prefix: string): ListedSecret[] {
    return [...this.#entries].flatMap(([secretId, { owner }]) =>
      owner !== null && secretId.startsWith(prefix)
        ? [{ secretId, ...this.#ownership.standingOf(owner), scheduledForDeletion: false }]
        : [],
    );
  }

  async #put(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    if (call.signal.aborted) return aborted(PROVIDER);
    const refused = refusedByLimits(IN_MEMORY_LIMITS, PROVIDER, item);
    if (refused !== null) return refused;
    await call.admitWrite();
    const entry = this.#entries.get(item.secretId);
    const version = { value: item.value, token: item.requestKey };
    if (entry === undefined) {
      const created = this.#newEntry(this.#ownership.ownerFor(item.connectionId), version);
      this.#entries.set(item.secretId, created);
      return stored(item, created.current.version, 'created');
    }
    const standing = this.#ownership.standingOf(entry.owner);
    const verdict = this.#ownership.judge(standing, item);
    if (verdict === 'refuse') return notOwned(PROVIDER, item.secretId, standing);
    const isAdopted = entry.owner === null || entry.owner.isAdopted === true;
    entry.owner = this.#ownership.ownerFor(item.connectionId, isAdopted);
    return this.#change(entry, item, verdict === 'claim' ? 'adopted' : 'changed');
  }

  #change(entry: Entry, item: PutItem, effect: Stored['effect']): StoreResult<Stored> {
    const earlier = entry.versions.find((version) => version.token === item.requestKey);
    if (earlier !== undefined) {
      if (earlier.value.equals(item.value)) return stored(item, earlier.version, effect);
      return failure('conflict', `${PROVIDER}: the token of ${item.secretId} was used for another value`);
    }
    entry.current = this.#version({ value: item.value, token: item.requestKey });
    entry.versions = [...entry.versions, entry.current].slice(-VERSIONS_KEPT);
    return stored(item, entry.current.version, effect);
  }

  #get(secretId: string, version: string | undefined): StoreResult<Fetched> {
    const entry = this.#entries.get(secretId);
    if (entry === undefined) return notFound(PROVIDER, secretId);
    if (version === undefined) return fetched(entry.current);
    const recorded = entry.versions.find((candidate) => candidate.version === version);
    return recorded === undefined ? versionGone(PROVIDER, secretId, version) : fetched(recorded);
  }

  #newEntry(owner: Owner | null, first: Omit<Version, 'version'>): Entry {
    const current = this.#version(first);
    return { owner, current, versions: [current] };
  }

  #version(content: Omit<Version, 'version'>): Version {
    this.#versions.last += 1;
    return { ...content, version: String(this.#versions.last) };
  }
}

function fetched(version: Version): StoreResult<Fetched> {
  return success({ value: new SecretValue(version.value.reveal()), version: version.version });
}

function stored(item: PutItem, version: string, effect: Stored['effect']): StoreResult<Stored> {
  return success({ reference: asReference(item.secretId), version, effect });
}
