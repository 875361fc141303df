import type { Reference } from '../../terms.js';
import { refusedByLimits } from '../limits.js';
import { notOwned, type Ownership, type Standing } from '../ownership.js';
import {
  aborted,
  asReference,
  failure,
  mapLimited,
  notAName,
  notFound,
  secretIdOf,
  success,
  versionGone,
  withSecretId,
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
  type StoreLimits,
  type StoreResult,
  type DeleteItem,
} from '../port.js';
import type { Answer, RequestFailure } from '../requester.js';
import type { SsmReader, WantedParameter } from './reader.js';
import type { SsmRequests } from './requests.js';

/** The service takes a few writes per second by default, and refuses changes of one parameter at the same time. */
const WRITES_AT_ONCE = 2;
const TAG_READS_AT_ONCE = 4;

export interface SsmStoreParts {
  readonly provider: string;
  readonly limits: StoreLimits;
  readonly requests: SsmRequests;
  readonly reader: SsmReader;
  readonly ownership: Ownership;
  /** An id that need not exist, under the prefix our permissions cover. */
  readonly checkId: string;
  readonly close: () => void;
}

/**
 * The SSM Parameter Store. One request per written field: a new secret is put without Overwrite and with its tags, a
 * known one with Overwrite (tags and Overwrite exclude each other). There is no compare-and-set and no idempotency
 * token: a repeated put is a new version with the same value.
 */
export class SsmStore implements SecretStore {
  readonly owned: OwnedSecrets = {
    list: (prefix, after, call) => this.#list(prefix, after, call),
    tag: ({ reference, connectionId }, call) =>
      withSecretId(this.#provider, reference, call, async (name) => {
        const standing = await this.#standing(name, call);
        if (!standing.ok) return standing.failure;
        if (standing.value.installation === 'another') return notOwned(this.#provider, name, standing.value);
        const answer = await this.#requests.tag(name, connectionId, call);
        return answer.ok ? success('tagged' as const) : answer.failure;
      }),
  };
  readonly #provider: string;
  readonly #requests: SsmRequests;
  readonly #parts: SsmStoreParts;
  /** Created by an overwrite and not tagged yet, because that request failed: tagged with their next one. */
  readonly #untagged = new Set<string>();

  constructor(parts: SsmStoreParts) {
    this.#parts = parts;
    this.#provider = parts.provider;
    this.#requests = parts.requests;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return mapLimited(items, WRITES_AT_ONCE, async (item) => {
      if (call.signal.aborted) return aborted(this.#provider);
      const refused = refusedByLimits(this.#parts.limits, this.#provider, item);
      if (refused !== null) return refused;
      const isSure = item.known && !this.#parts.ownership.looksFirst;
      return isSure ? this.#overwrite(item, 'changed', call) : this.#putNew(item, call);
    });
  }

  async get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    const wanted = items.flatMap((item): WantedParameter[] => {
      const name = secretIdOf(item.reference);
      if (name === null) return [];
      return [item.version === undefined ? { name } : { name, version: item.version }];
    });
    const results = (await this.#parts.reader.get(wanted, call)).values();
    return items.map((item) => {
      const result = secretIdOf(item.reference) === null ? undefined : results.next().value;
      return result ?? notAName(this.#provider);
    });
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return withSecretId(this.#provider, reference, call, async (name) => {
      const version = await this.#currentVersion(name, call);
      if (!version.ok) return version;
      const standing = await this.#standing(name, call);
      if (!standing.ok) return standing.failure;
      return success({ version: version.value, ...standing.value, scheduledForDeletion: false });
    });
  }

  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, WRITES_AT_ONCE, (item) =>
      withSecretId(this.#provider, item.reference, call, (name) => this.#delete(name, item, call)),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    return withSecretId(this.#provider, item.reference, call, (name) => this.#restore(name, item, call));
  }

  async check(call: StoreCall): Promise<StoreResult<{ detail: string }>> {
    if (call.signal.aborted) return aborted(this.#provider);
    const answer = await this.#requests.parameters([this.#parts.checkId], call, false);
    return answer.ok ? success({ detail: 'GetParameters is permitted' }) : answer.failure;
  }

  close(): Promise<void> {
    this.#parts.close();
    return Promise.resolve();
  }

  async #putNew(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const created = await this.#requests.create(item.secretId, item.value, item.connectionId, call);
    if (created.ok) return stored(item, created.value, 'created');
    return created.name === 'ParameterAlreadyExists' ? this.#putExisting(item, call) : created.failure;
  }

  async #putExisting(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const standing = await this.#standing(item.secretId, call);
    if (!standing.ok) return this.#vanished(standing, item.secretId);
    const verdict = this.#parts.ownership.judge(standing.value, item);
    if (verdict === 'refuse') return notOwned(this.#provider, item.secretId, standing.value);
    if (verdict === 'ours') return this.#overwrite(item, 'changed', call);
    // Our tags go on before our value: with our value and without our tag it would be an orphan forever.
    const isAdopted = verdict === 'claim' && standing.value.ownedBy === null;
    const tagged = await this.#requests.tag(item.secretId, item.connectionId, call, isAdopted);
    if (!tagged.ok) return tagged.failure;
    return this.#overwrite(item, verdict === 'claim' ? 'adopted' : 'changed', call);
  }

  async #overwrite(
    item: PutItem,
    effect: 'changed' | 'adopted',
    call: StoreCall,
  ): Promise<StoreResult<Stored>> {
    const put = await this.#requests.overwrite(item.secretId, item.value, call);
    if (!put.ok) return put.failure;
    // A first version where a known one was changed: somebody else deleted it, and it has no tags now.
    if (put.value === 1) this.#untagged.add(item.secretId);
    if (!this.#untagged.has(item.secretId)) return stored(item, put.value, effect);
    const tagged = await this.#requests.tag(item.secretId, item.connectionId, call);
    if (!tagged.ok) return { ok: false, error: { ...tagged.failure.error, applied: 'unknown' } };
    this.#untagged.delete(item.secretId);
    return stored(item, put.value, 'created');
  }

  /** It was there a moment ago: another try will create it. */
  #vanished(answer: RequestFailure, name: string): StoreResult<never> {
    if (answer.failure.error.class !== 'not-found') return answer.failure;
    return failure('transient', `${this.#provider}: ${name} was deleted while it was written`);
  }

  async #delete(name: string, item: DeleteItem, call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>> {
    const standing = await this.#standing(name, call);
    if (!standing.ok) return absentOr(standing);
    if (!this.#parts.ownership.mayDelete(standing.value, item))
      return notOwned(this.#provider, name, standing.value);
    const deleted = await this.#requests.delete(name, call);
    return deleted.ok ? success('deleted') : absentOr(deleted);
  }

  async #list(prefix: string, after: string | null, call: StoreCall): Promise<StoreResult<ListPage>> {
    const answer = await this.#requests.list(prefix, after, call);
    if (!answer.ok) return answer.failure;
    const { names, next } = answer.value;
    const listed = await mapLimited(names, TAG_READS_AT_ONCE, (name) => this.#listed(name, call));
    const failed = listed.find((result) => !result.ok);
    if (failed?.ok === false) return failed;
    const secrets = listed.flatMap((result) => (result.ok && result.value !== null ? [result.value] : []));
    return success({ secrets, next });
  }

  /** Null where it has gone meanwhile, or its tags have. */
  async #listed(name: string, call: StoreCall): Promise<StoreResult<ListedSecret | null>> {
    const owner = await this.#requests.owner(name, call);
    if (!owner.ok) return owner.failure.error.class === 'not-found' ? success(null) : owner.failure;
    if (owner.value === null) return success(null);
    const standing = this.#parts.ownership.standingOf(owner.value);
    return success({ secretId: name, ...standing, scheduledForDeletion: false });
  }

  /** Puts the recorded value again: its version is a new one. */
  async #restore(
    name: string,
    item: RestoreItem,
    call: StoreCall,
  ): Promise<StoreResult<{ version: string }>> {
    const standing = await this.#standing(name, call);
    if (!standing.ok) return standing.failure;
    if (standing.value.ownedBy !== item.connectionId) return notOwned(this.#provider, name, standing.value);
    const current = await this.#currentVersion(name, call);
    if (!current.ok) return current;
    if (current.value === item.version) return success({ version: item.version });
    const [recorded] = await this.#parts.reader.get([{ name, version: item.version }], call);
    if (recorded === undefined) return versionGone(this.#provider, name, item.version);
    if (!recorded.ok) return recorded;
    const put = await this.#requests.overwrite(name, recorded.value.value, call);
    return put.ok ? success({ version: String(put.value) }) : put.failure;
  }

  async #standing(name: string, call: StoreCall): Promise<Answer<Standing>> {
    const owner = await this.#requests.owner(name, call);
    return owner.ok ? { ok: true, value: this.#parts.ownership.standingOf(owner.value) } : owner;
  }

  async #currentVersion(name: string, call: StoreCall): Promise<StoreResult<string>> {
    const answer = await this.#requests.parameters([name], call, false);
    if (!answer.ok) return answer.failure;
    const [parameter] = answer.value.found;
    return parameter?.Version === undefined
      ? notFound(this.#provider, name)
      : success(String(parameter.Version));
  }
}

function absentOr(answer: RequestFailure): StoreResult<'deleted' | 'absent'> {
  return answer.failure.error.class === 'not-found' ? success('absent') : answer.failure;
}

function stored(item: PutItem, version: number, effect: Stored['effect']): StoreResult<Stored> {
  return success({ reference: asReference(item.secretId), version: String(version), effect });
}
