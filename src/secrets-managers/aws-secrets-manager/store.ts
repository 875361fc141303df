import type { Reference } from '../../terms.js';
import { notOwned, type Ownership } from '../ownership.js';
import { refusedByLimits } from '../limits.js';
import {
  aborted,
  asReference,
  failure,
  mapLimited,
  notAName,
  secretIdOf,
  success,
  withSecretId,
  type Description,
  type Fetched,
  type GetItem,
  type OwnedSecrets,
  type PutItem,
  type RestoreItem,
  type SecretStore,
  type StoreCall,
  type Stored,
  type StoreResult,
  type DeleteItem,
} from '../port.js';
import { SECRETS_MANAGER_LIMITS } from './limits.js';
import type { Answer, RequestFailure } from '../requester.js';
import type { SecretsManagerReader, WantedSecret } from './reader.js';
import type { SecretsManagerRequests } from './requests.js';

const WRITES_AT_ONCE = 8;

export interface SecretsManagerStoreParts {
  readonly provider: string;
  readonly requests: SecretsManagerRequests;
  readonly reader: SecretsManagerReader;
  readonly ownership: Ownership;
  /** An id that need not exist, under the prefix our permissions cover. */
  readonly checkId: string;
  readonly close: () => void;
}

/**
 * AWS Secrets Manager. One request per written field: a new secret is created first, a known one is changed first.
 *
 * A known secret is changed without looking at its tags, once all of ours carry them: that would be a second request for
 * every password. If somebody deletes our secret and makes his own under the same name, his value becomes the previous
 * version, and `verify` reports the missing tags. A deletion cannot be undone, so it always looks first.
 */
export class SecretsManagerStore implements SecretStore {
  readonly owned: OwnedSecrets = {
    list: async (prefix, after, call) => {
      const answer = await this.#requests.list(prefix, after, call);
      return answer.ok ? success(answer.value) : answer.failure;
    },
    tag: ({ reference, connectionId }, call) =>
      withSecretId(this.#provider, reference, call, async (id) => {
        const described = await this.#requests.describe(id, call);
        if (!described.ok) return described.failure;
        if (described.value.installation === 'another') return notOwned(this.#provider, id, described.value);
        const answer = await this.#requests.tag(id, connectionId, call);
        return answer.ok ? success('tagged' as const) : answer.failure;
      }),
  };
  readonly #provider: string;
  readonly #requests: SecretsManagerRequests;
  readonly #parts: SecretsManagerStoreParts;

  constructor(parts: SecretsManagerStoreParts) {
    this.#parts = parts;
    this.#provider = parts.provider;
    this.#requests = parts.requests;
  }

  put(items: readonly PutItem[], call: StoreCall): Promise<StoreResult<Stored>[]> {
    return mapLimited(items, WRITES_AT_ONCE, async (item) => {
      if (call.signal.aborted) return aborted(this.#provider);
      const refused = refusedByLimits(SECRETS_MANAGER_LIMITS, this.#provider, item);
      if (refused !== null) return refused;
      const isSure = item.known && !this.#parts.ownership.looksFirst;
      return isSure ? this.#putKnown(item, call) : this.#putNew(item, call);
    });
  }

  async get(items: readonly GetItem[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    const wanted = items.flatMap((item): WantedSecret[] => {
      const secretId = secretIdOf(item.reference);
      if (secretId === null) return [];
      return [item.version === undefined ? { secretId } : { secretId, version: item.version }];
    });
    const results = (await this.#parts.reader.get(wanted, call)).values();
    return items.map((item) => {
      const result = secretIdOf(item.reference) === null ? undefined : results.next().value;
      return result ?? notAName(this.#provider);
    });
  }

  describe(reference: Reference, call: StoreCall): Promise<StoreResult<Description>> {
    return withSecretId(this.#provider, reference, call, async (id) => {
      const answer = await this.#requests.describe(id, call);
      return answer.ok ? success(answer.value) : answer.failure;
    });
  }

  delete(items: readonly DeleteItem[], call: StoreCall): Promise<StoreResult<'deleted' | 'absent'>[]> {
    return mapLimited(items, WRITES_AT_ONCE, (item) =>
      withSecretId(this.#provider, item.reference, call, (id) => this.#delete(id, item, call)),
    );
  }

  restore(item: RestoreItem, call: StoreCall): Promise<StoreResult<{ version: string }>> {
    return withSecretId(this.#provider, item.reference, call, (id) => this.#restore(id, item, call));
  }

  async check(call: StoreCall): Promise<StoreResult<{ detail: string }>> {
    if (call.signal.aborted) return aborted(this.#provider);
    const answer = await this.#requests.describe(this.#parts.checkId, call);
    // Permissions are judged before existence: "not found" says that we are known, permitted and served.
    if (answer.ok || answer.failure.error.class === 'not-found') {
      return success({ detail: 'DescribeSecret is permitted' });
    }
    return answer.failure;
  }

  close(): Promise<void> {
    this.#parts.close();
    return Promise.resolve();
  }

  async #putKnown(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const put = await this.#requests.putValue(item, call);
    if (put.ok) return stored(item, put.value, 'changed');
    if (put.name === 'ResourceNotFoundException') return this.#putNew(item, call);
    // The error for a secret scheduled for deletion; it has other reasons too, so the description decides.
    if (put.name === 'InvalidRequestException') return this.#putExisting(item, put, call);
    return put.failure;
  }

  async #putNew(item: PutItem, call: StoreCall): Promise<StoreResult<Stored>> {
    const created = await this.#requests.create(item, call);
    if (created.ok) return stored(item, created.value, 'created');
    const exists = created.name === 'ResourceExistsException' || created.name === 'InvalidRequestException';
    return exists ? this.#putExisting(item, created, call) : created.failure;
  }

  /** A secret of this name is there, perhaps scheduled for deletion: whose it is decides. */
  async #putExisting(item: PutItem, why: RequestFailure, call: StoreCall): Promise<StoreResult<Stored>> {
    const described = await this.#requests.describe(item.secretId, call);
    if (!described.ok) return this.#vanished(described, item.secretId);
    const { ownedBy, scheduledForDeletion } = described.value;
    // What is deleted is in the way of nobody who only creates.
    const asked = scheduledForDeletion ? { ...item, createOnly: false } : item;
    const verdict = this.#parts.ownership.judge(described.value, asked);
    // What somebody else has deleted is not brought back, not even to adopt it.
    const foreign = verdict === 'refuse' || (scheduledForDeletion && ownedBy === null);
    if (foreign) return notOwned(this.#provider, item.secretId, described.value);
    if (!scheduledForDeletion && why.name === 'InvalidRequestException') return why.failure;
    const isAdopted = verdict === 'claim' && ownedBy === null;
    const needs = { scheduledForDeletion, tags: verdict !== 'ours', isAdopted };
    const prepared = await this.#prepare(item, needs, call);
    if (!prepared.ok) return prepared.failure;
    const put = await this.#requests.putValue(item, call);
    if (!put.ok) return put.failure;
    return stored(
      item,
      put.value,
      scheduledForDeletion ? 'restored' : verdict === 'claim' ? 'adopted' : 'changed',
    );
  }

  /** Our tags go on before our value: a secret with our value and without our tag would be an orphan forever. */
  async #prepare(
    item: PutItem,
    needs: { scheduledForDeletion: boolean; tags: boolean; isAdopted: boolean },
    call: StoreCall,
  ): Promise<Answer<unknown>> {
    const nothing: Answer<unknown> = { ok: true, value: null };
    const undeleted = needs.scheduledForDeletion
      ? await this.#requests.undelete(item.secretId, call)
      : nothing;
    if (!undeleted.ok || !needs.tags) return undeleted;
    return this.#requests.tag(item.secretId, item.connectionId, call, needs.isAdopted);
  }

  /** It was there a moment ago: another try will create it. */
  #vanished(described: RequestFailure, secretId: string): StoreResult<never> {
    if (described.failure.error.class !== 'not-found') return described.failure;
    return failure('transient', `${this.#provider}: ${secretId} was deleted while it was written`);
  }

  async #delete(
    secretId: string,
    item: DeleteItem,
    call: StoreCall,
  ): Promise<StoreResult<'deleted' | 'absent'>> {
    const described = await this.#requests.describe(secretId, call);
    if (!described.ok) return absentOr(described);
    if (!this.#parts.ownership.mayDelete(described.value, item))
      return notOwned(this.#provider, secretId, described.value);
    if (described.value.scheduledForDeletion) return success('deleted');
    const deleted = await this.#requests.delete(secretId, call);
    return deleted.ok ? success('deleted') : absentOr(deleted);
  }

  async #restore(
    secretId: string,
    item: RestoreItem,
    call: StoreCall,
  ): Promise<StoreResult<{ version: string }>> {
    const described = await this.#requests.describe(secretId, call);
    if (!described.ok) return described.failure;
    const { ownedBy, scheduledForDeletion, version: current } = described.value;
    if (ownedBy !== item.connectionId) return notOwned(this.#provider, secretId, described.value);
    if (scheduledForDeletion) {
      const undeleted = await this.#requests.undelete(secretId, call);
      if (!undeleted.ok) return undeleted.failure;
    }
    if (current === item.version) return success({ version: current });
    // Read first: nothing is moved for a version that is gone.
    const [recorded] = await this.#parts.reader.get([{ secretId, version: item.version }], call);
    if (recorded?.ok === false) return recorded;
    const moved = await this.#requests.moveCurrent(secretId, current, item.version, call);
    if (moved.ok) return this.#readBack(secretId, item.version, call);
    // The label was moved meanwhile, or the version went: looking again will tell.
    const { class: errorClass } = moved.failure.error;
    const meanwhile = errorClass === 'not-found' || errorClass === 'invalid';
    return meanwhile ? this.#changedMeanwhile(secretId) : moved.failure;
  }

  async #readBack(
    secretId: string,
    expected: string,
    call: StoreCall,
  ): Promise<StoreResult<{ version: string }>> {
    const described = await this.#requests.describe(secretId, call);
    if (!described.ok) return described.failure;
    if (described.value.version !== expected) return this.#changedMeanwhile(secretId);
    return success({ version: expected });
  }

  #changedMeanwhile(secretId: string): StoreResult<never> {
    return failure('conflict', `${this.#provider}: ${secretId} was changed while it was restored`);
  }
}

function absentOr(answer: RequestFailure): StoreResult<'deleted' | 'absent'> {
  return answer.failure.error.class === 'not-found' ? success('absent') : answer.failure;
}

function stored(item: PutItem, version: string, effect: Stored['effect']): StoreResult<Stored> {
  return success({ reference: asReference(item.secretId), version, effect });
}
