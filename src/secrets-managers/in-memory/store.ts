import { SecretValue } from '../../secret-value.js';
import type { Reference } from '../../terms.js';
import { refusedByLimits } from '../limits.js';
import { judgeOwnership } from '../ownership.js';
import {
  aborted,
  asReference,
  failure,
  mapLimited,
  notFound,
  notOwned,
  success,
  versionGone,
  withSecretId,
} from '../results.js';
import type {
  Description,
  Fetched,
  GetItem,
  ListedSecret,
  OwnedSecrets,
  PutItem,
  RestoreItem,
  SecretStore,
  StoreCall,
  Stored,
  StoreLimits,
  StoreResult,
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
  owner: string | null;
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
        entry.owner = connectionId;
        return success('tagged' as const);
      }),
  };
  readonly #entries = new Map<string, Entry>();
  #lastVersion = 0;

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
      return success({ version: entry.current.version, ownedBy: entry.owner, scheduledForDeletion: false });
    });
  }

  delete(
    items: readonly { reference: Reference; connectionId: string }[],
    call: StoreCall,
  ): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, 1, (item) =>
      withSecretId<'deleted' | 'absent'>(PROVIDER, item.reference, call, async (id) => {
        await call.admitWrite();
        const entry = this.#entries.get(id);
        if (entry === undefined) return success('absent');
        if (entry.owner !== item.connectionId) return notOwned(PROVIDER, id, entry.owner);
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
      if (entry.owner !== item.connectionId) return notOwned(PROVIDER, id, entry.owner);
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

  /** A secret that somebody else put there, without our tags: what adoption and ownership are tried against. */
  placeUnowned(secretId: string, value: SecretValue): void {
    this.#entries.set(secretId, this.#newEntry(null, { value, token: null }));
  }

  #listed(prefix: string): ListedSecret[] {
    return [...this.#entries].flatMap(([secretId, { owner }]) =>
      owner !== null && secretId.startsWith(prefix)
        ? [{ secretId, ownedBy: owner, scheduledForDeletion: false }]
        : [],
    );
  }

  async #put(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    if (call.signal.aborted) return aborted(PROVIDER);
    const refused = refusedByLimits(IN_MEMORY_LIMITS, PROVIDER, item);
    if (refused !== null) return refused;
    await call.admitWrite();
    const entry = this.#entries.get(item.secretId);
    const version = { value: item.value, token: item.clientToken };
    if (entry === undefined) {
      const created = this.#newEntry(item.connectionId, version);
      this.#entries.set(item.secretId, created);
      return stored(item, created.current.version, 'created');
    }
    const verdict = judgeOwnership(entry.owner, item);
    if (verdict === 'refuse') return notOwned(PROVIDER, item.secretId, entry.owner);
    entry.owner = item.connectionId;
    return this.#change(entry, item, verdict === 'claim' ? 'adopted' : 'changed');
  }

  #change(entry: Entry, item: PutItem, effect: Stored['effect']): StoreResult<Stored> {
    const earlier = entry.versions.find((version) => version.token === item.clientToken);
    if (earlier !== undefined) {
      if (earlier.value.equals(item.value)) return stored(item, earlier.version, effect);
      return failure('conflict', `${PROVIDER}: the token of ${item.secretId} was used for another value`);
    }
    entry.current = this.#version({ value: item.value, token: item.clientToken });
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

  #newEntry(owner: string | null, first: Omit<Version, 'version'>): Entry {
    const current = this.#version(first);
    return { owner, current, versions: [current] };
  }

  #version(content: Omit<Version, 'version'>): Version {
    this.#lastVersion += 1;
    return { ...content, version: String(this.#lastVersion) };
  }
}

function fetched(version: Version): StoreResult<Fetched> {
  return success({ value: new SecretValue(version.value.reveal()), version: version.version });
}

function stored(item: PutItem, version: string, effect: Stored['effect']): StoreResult<Stored> {
  return success({ reference: asReference(item.secretId), version, effect });
}
