import { SecretValue } from '../../secret-value.js';
import type { Reference } from '../../terms.js';
import { idViolation, refusedByLimits } from '../limits.js';
import { notOwned, type Ownership } from '../ownership.js';
import {
  aborted,
  asReference,
  failure,
  mapLimited,
  notFound,
  success,
  versionGone,
  withSecretId,
  type DeleteItem,
  type Description,
  type Fetched,
  type GetItem,
  type ListedSecret,
  type ListPage,
  type OwnedSecrets,
  type PutItem,
  type RestoreItem,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreResult,
} from '../port.js';
import type { RequestFailure } from '../requester.js';
import { CAS_MISMATCH } from './errors.js';
import { VAULT_LIMITS } from './limits.js';
import type { Found, VaultRequests, WrittenVersion } from './requests.js';
import { NAME } from './settings.js';

const WRITES_AT_ONCE = 8;
const READS_AT_ONCE = 16;
/** Others that change one secret at the same time: how often it is looked at again. */
const TRIES = 3;

const NEEDED: Readonly<Record<string, readonly string[]>> = {
  data: ['create', 'read', 'update'],
  metadata: ['create', 'read', 'update', 'delete'],
};

export interface VaultStoreParts {
  readonly requests: VaultRequests;
  readonly ownership: Ownership;
  readonly mount: string;
  /** An id that need not exist, under the prefix our permissions cover. */
  readonly checkId: string;
  readonly close: () => void;
}

/**
 * Vault's and OpenBao's key-value engine, version 2. Every write names the version that it replaces: whatever comes late
 * from a former claim is refused by the store. A known secret is one request, a new one two (its value, then its tags;
 * whose it is stands in both).
 */
export class VaultStore implements SecretStore {
  readonly owned: OwnedSecrets = {
    list: (prefix, after, call) => this.#list(prefix, after, call),
    tag: ({ reference, connectionId }, call) =>
      withSecretId(NAME, reference, call, async (secretId) => {
        const found = await this.#requests.describe(secretId, call);
        if (!found.ok) return found.failure;
        if (found.value.installation === 'another') return notOwned(NAME, secretId, found.value);
        const { custom } = found.value;
        const tagged = await this.#requests.tag({ secretId, connectionId, custom }, call);
        return tagged.ok ? success('tagged' as const) : tagged.failure;
      }),
  };
  readonly #requests: VaultRequests;
  readonly #parts: VaultStoreParts;
  #isVersioned = false;

  constructor(parts: VaultStoreParts) {
    this.#parts = parts;
    this.#requests = parts.requests;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return mapLimited(items, WRITES_AT_ONCE, async (item) => {
      if (call.signal.aborted) return aborted(NAME);
      return refusedByLimits(VAULT_LIMITS, NAME, item) ?? (await this.#put(item, call));
    });
  }

  get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    return mapLimited(items, READS_AT_ONCE, ({ reference, version }) =>
      withSecretId(NAME, reference, call, (secretId) => this.#get(secretId, version ?? null, call)),
    );
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return withSecretId(NAME, reference, call, async (secretId) => {
      const found = await this.#requests.describe(secretId, call);
      if (!found.ok) return this.#absent(found, secretId, call);
      const { version, ownedBy, installation, isAdopted, scheduledForDeletion } = found.value;
      const adopted = isAdopted === undefined ? {} : { isAdopted };
      return success({ version, ownedBy, installation, ...adopted, scheduledForDeletion });
    });
  }

  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, WRITES_AT_ONCE, (item) =>
      withSecretId<'deleted' | 'absent'>(NAME, item.reference, call, async (secretId) => {
        const found = await this.#requests.describe(secretId, call);
        if (!found.ok)
          return isNotFound(found) ? ((await this.#engineProblem(call)) ?? success('absent')) : found.failure;
        if (!this.#parts.ownership.mayDelete(found.value, item)) return notOwned(NAME, secretId, found.value);
        const deleted = await this.#requests.delete(secretId, call);
        return deleted.ok ? success('deleted') : deleted.failure;
      }),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    return withSecretId(NAME, item.reference, call, (secretId) => this.#restore(secretId, item, call));
  }

  async check(call: StoreCall): Promise<StoreResult<{ detail: string }>> {
    if (call.signal.aborted) return aborted(NAME);
    const answer = await this.#requests.capabilities(this.#parts.checkId, call);
    if (!answer.ok) return answer.failure;
    const lacking = [...answer.value].flatMap(([path, has]) => {
      const part = path.split('/')[this.#parts.mount.split('/').length] ?? '';
      const missing = has.includes('root') ? [] : (NEEDED[part] ?? []).filter((word) => !has.includes(word));
      return missing.length === 0 ? [] : [`${missing.join(', ')} on ${path.replace(/[^/]+$/, '*')}`];
    });
    if (lacking.length > 0) return failure('access', `${NAME}: the policy lacks ${lacking.join(' and ')}`);
    const problem = await this.#engineProblem(call);
    return problem ?? success({ detail: 'the policy permits what is needed' });
  }

  close(): Promise<void> {
    this.#parts.close();
    return Promise.resolve();
  }

  async #put(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const { known, expectedVersion } = item;
    const expected = known && !this.#parts.ownership.looksFirst ? Number(expectedVersion ?? 0) : 0;
    const written = await this.#requests.write(item, expected, call);
    if (written.ok) return this.#tagged(item, written.value, expected === 0 ? 'created' : 'changed', call);
    return written.name === CAS_MISMATCH ? this.#putExisting(item, call) : written.failure;
  }

  /** Another version is current than was expected: whose it is decides. */
  async #putExisting(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const { secretId } = item;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const found = await this.#requests.describe(secretId, call);
      if (!found.ok && !isNotFound(found)) return found.failure;
      const prepared = found.ok ? await this.#prepare(item, found.value, call) : ('created' as const);
      if (typeof prepared !== 'string') return prepared;
      const written = await this.#requests.write(item, found.ok ? found.value.currentVersion : 0, call);
      if (written.ok) return this.#tagged(item, written.value, prepared, call);
      if (written.name !== CAS_MISMATCH) return written.failure;
    }
    return failure('conflict', `${NAME}: ${secretId} is changed by somebody else at the same time`);
  }

  /** Our tags go on before our value, where a secret is there that does not carry them. */
  async #prepare(
    item: PutItem,
    found: Found,
    call: StoreCall,
  ): Promise<Stored['effect'] | StoreResult<never>> {
    const { secretId, connectionId } = item;
    const { ownedBy, scheduledForDeletion, custom, isTagged, currentVersion } = found;
    const asked = scheduledForDeletion ? { ...item, createOnly: false } : item;
    const verdict = this.#parts.ownership.judge(found, asked);
    // What somebody else has deleted is not brought back, not even to adopt it.
    if (verdict === 'refuse' || (scheduledForDeletion && ownedBy === null))
      return notOwned(NAME, secretId, found);
    if (verdict !== 'ours' || !isTagged) {
      const isAdopted = found.isAdopted === true || (verdict === 'claim' && ownedBy === null);
      const tagged = await this.#requests.tag({ secretId, connectionId, custom, isAdopted }, call);
      if (!tagged.ok) return tagged.failure;
    }
    if (currentVersion === 0) return 'created';
    if (scheduledForDeletion) return 'restored';
    return verdict === 'claim' ? 'adopted' : 'changed';
  }

  /**
   * A new secret has no tags yet. If it got none because of a fault, its next change puts them on. If somebody else's tags
   * came before our value, the secret is his: we look only after the first write, because the store compares versions, not
   * tags.
   */
  async #tagged(
    item: PutItem,
    { version, owner, custom }: WrittenVersion,
    effect: Stored['effect'],
    call: StoreCall,
  ): Promise<StoreResult<Stored>> {
    const { secretId, connectionId } = item;
    const { ownership } = this.#parts;
    const standing = ownership.standingOf(owner);
    if (effect === 'created' && owner !== null && standing.ownedBy !== connectionId) {
      const { error } = notOwned(NAME, secretId, standing);
      return { ok: false, error: { ...error, applied: 'unknown' } };
    }
    if (owner === null) {
      const tagged = await this.#requests.tag({ secretId, connectionId, custom }, call);
      // The value is there, so it cannot be said that nothing was applied.
      if (!tagged.ok) return { ok: false, error: { ...tagged.failure.error, applied: 'unknown' } };
    }
    return success({ reference: asReference(secretId), version: String(version), effect });
  }

  async #get(secretId: string, version: string | null, call: StoreCall): Promise<StoreResult<Fetched>> {
    const violation = idViolation(VAULT_LIMITS, secretId);
    if (violation !== null) return failure('invalid', `${NAME}: ${violation.message}`);
    const read = await this.#requests.read(secretId, version, call);
    if (read.ok)
      return read.value === null
        ? failure('invalid', `${NAME}: ${secretId} has no text under the key value`)
        : success(read.value);
    if (!isNotFound(read) || version === null) return this.#absent(read, secretId, call);
    // A version that is gone and a secret that is not there look the same.
    const found = await this.#requests.describe(secretId, call);
    return found.ok ? versionGone(NAME, secretId, version) : this.#absent(found, secretId, call);
  }

  /** Puts the recorded value again: its version is a new one. */
  async #restore(
    secretId: string,
    { connectionId, version }: RestoreItem,
    call: StoreCall,
  ): Promise<StoreResult<{ version: string }>> {
    const found = await this.#requests.describe(secretId, call);
    if (!found.ok) return this.#absent(found, secretId, call);
    const { ownedBy, scheduledForDeletion, currentVersion } = found.value;
    if (ownedBy !== connectionId) return notOwned(NAME, secretId, found.value);
    const isCurrent = found.value.version === version;
    if (isCurrent && !scheduledForDeletion) return success({ version });
    const recorded = await this.#recorded(secretId, version, isCurrent, call);
    if (!recorded.ok) return recorded;
    if (isCurrent) return success({ version });
    const item = { secretId, connectionId, value: new SecretValue(recorded.value.value.reveal()) };
    const written = await this.#requests.write(item, currentVersion, call);
    if (written.ok) return success({ version: String(written.value.version) });
    return written.name === CAS_MISMATCH
      ? failure('conflict', `${NAME}: ${secretId} was changed while it was restored`)
      : written.failure;
  }

  /** Somebody may have deleted it so that it can be brought back. */
  async #recorded(
    secretId: string,
    version: string,
    isDeleted: boolean,
    call: StoreCall,
  ): Promise<StoreResult<Fetched>> {
    const read = isDeleted ? null : await this.#get(secretId, version, call);
    if (read !== null && (read.ok || read.error.code !== 'SECRET_VERSION_GONE')) return read;
    const undeleted = await this.#requests.undelete(secretId, version, call);
    return undeleted.ok ? this.#get(secretId, version, call) : undeleted.failure;
  }

  /** A folder a page; `after` has those that are still to be looked at. */
  async #list(prefix: string, after: string | null, call: StoreCall): Promise<StoreResult<ListPage>> {
    const first = [prefix.slice(0, prefix.lastIndexOf('/') + 1)];
    const [folder = '/', ...others] = after === null ? first : (JSON.parse(after) as string[]);
    const listed = await this.#requests.list(folder, call);
    if (!listed.ok) {
      const problem = isNotFound(listed) ? await this.#engineProblem(call) : listed.failure;
      if (problem !== null) return problem;
    }
    const names = (listed.ok ? listed.value : [])
      .map((name) => `${folder}${name}`)
      .filter((name) => name.startsWith(prefix) || prefix.startsWith(name));
    const folders = [...names.filter((name) => name.endsWith('/')), ...others];
    const ids = names.filter((name) => !name.endsWith('/') && name.startsWith(prefix));
    const results = await mapLimited(ids, READS_AT_ONCE, (secretId) => this.#listed(secretId, call));
    const failed = results.find((result) => !result.ok);
    if (failed?.ok === false) return failed;
    const secrets = results.flatMap((result) => (result.ok && result.value !== null ? [result.value] : []));
    return success({ secrets, next: folders.length === 0 ? null : JSON.stringify(folders) });
  }

  /** Null where it is gone meanwhile, or not ours. */
  async #listed(secretId: string, call: StoreCall): Promise<StoreResult<ListedSecret | null>> {
    const found = await this.#requests.describe(secretId, call);
    if (!found.ok) return isNotFound(found) ? success(null) : found.failure;
    const { ownedBy, installation, isAdopted, scheduledForDeletion } = found.value;
    if (ownedBy === null && installation === 'missing') return success(null);
    const adopted = isAdopted === undefined ? {} : { isAdopted };
    return success({ secretId, ownedBy, installation, ...adopted, scheduledForDeletion });
  }

  /** Only an engine of version 2 can say that a secret is not there: others say so of every path. */
  async #absent(answer: RequestFailure, secretId: string, call: StoreCall): Promise<StoreResult<never>> {
    if (!isNotFound(answer)) return answer.failure;
    return (await this.#engineProblem(call)) ?? notFound(NAME, secretId);
  }

  async #engineProblem(call: StoreCall): Promise<StoreResult<never> | null> {
    if (this.#isVersioned) return null;
    const answer = await this.#requests.engineVersion(call);
    // Where we may not look, the paths of our policy are all there is to go by.
    if (!answer.ok && answer.failure.error.class !== 'access') return answer.failure;
    if (answer.ok && answer.value !== '2')
      return failure(
        'access',
        `${NAME}: VAULT_MOUNT ${this.#parts.mount} is no key-value engine of version 2`,
      );
    this.#isVersioned = true;
    return null;
  }
}

function isNotFound(answer: RequestFailure): boolean {
  return answer.failure.error.class === 'not-found';
}
