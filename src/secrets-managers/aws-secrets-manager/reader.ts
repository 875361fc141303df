import {
  BatchGetSecretValueCommand,
  GetSecretValueCommand,
  type APIErrorType,
  type SecretsManagerClient,
  type SecretValueEntry,
} from '@aws-sdk/client-secrets-manager';
import { SecretValue } from '../../secret-value.js';
import {
  failure,
  mapLimited,
  notFound,
  success,
  versionGone,
  type Fetched,
  type StoreCall,
  type StoreResult,
} from '../port.js';
import { hasNothing, type RequestFailure, type Requester } from '../requester.js';
import { CURRENT, type SecretsManagerRequests } from './requests.js';

const IDS_PER_CALL = 20;
const CALLS_AT_ONCE = 4;
/** A role without the permission for batches is asked again after this time: it may have been granted. */
const BATCH_DENIED_MS = 300_000;

export interface WantedSecret {
  readonly secretId: string;
  readonly version?: string;
}

type Content = Pick<SecretValueEntry, 'SecretString' | 'SecretBinary' | 'VersionId'>;

/** Reads values, twenty a call where current ones are wanted. */
export class SecretsManagerReader {
  readonly #provider: string;
  readonly #client: SecretsManagerClient;
  readonly #requester: Requester;
  readonly #requests: SecretsManagerRequests;
  #noBatchesUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    provider: string,
    client: SecretsManagerClient,
    requester: Requester,
    requests: SecretsManagerRequests,
  ) {
    this.#provider = provider;
    this.#client = client;
    this.#requester = requester;
    this.#requests = requests;
  }

  /** Results in the order of what is wanted; the same id may be wanted several times. */
  async get(wanted: readonly WantedSecret[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    const currentIds = new Set(wanted.filter((item) => item.version === undefined).map((i) => i.secretId));
    const current = await this.#currentOf([...currentIds], call);
    return mapLimited(wanted, CALLS_AT_ONCE, async ({ secretId, version }) => {
      const known = version === undefined ? current.get(secretId) : undefined;
      return known ?? (await this.#getOne(secretId, version, call));
    });
  }

  async #currentOf(ids: readonly string[], call: StoreCall): Promise<Map<string, StoreResult<Fetched>>> {
    const chunks: string[][] = [];
    for (let at = 0; at < ids.length; at += IDS_PER_CALL) chunks.push(ids.slice(at, at + IDS_PER_CALL));
    const parts = await mapLimited(chunks, CALLS_AT_ONCE, (chunk) => this.#chunk(chunk, call));
    return new Map(parts.flat());
  }

  async #chunk(
    ids: readonly string[],
    call: StoreCall,
  ): Promise<(readonly [string, StoreResult<Fetched>])[]> {
    const answered = ids.length > 1 ? await this.#batch(ids, call) : new Map<string, StoreResult<Fetched>>();
    const single = async (id: string) =>
      [id, answered.get(id) ?? (await this.#getOne(id, undefined, call))] as const;
    return mapLimited(ids, CALLS_AT_ONCE, single);
  }

  /** What one call says for sure of its ids; those it says nothing sure of are missing and asked for one by one. */
  async #batch(ids: readonly string[], call: StoreCall): Promise<Map<string, StoreResult<Fetched>>> {
    if (performance.now() < this.#noBatchesUntilMs) return new Map();
    const command = new BatchGetSecretValueCommand({ SecretIdList: [...ids] });
    // What it does not answer is asked for one by one.
    const answer = await this.#requester.read(
      'BatchGetSecretValue',
      call,
      (options) => this.#client.send(command, options),
      hasNothing,
    );
    if (!answer.ok) return this.#batchFailed(ids, answer);
    const results = new Map<string, StoreResult<Fetched>>();
    for (const entry of answer.value.SecretValues ?? []) {
      // Asked for by name or by ARN: the entry carries both, one of them is what was asked for.
      const id = ids.find((candidate) => candidate === entry.Name || candidate === entry.ARN);
      if (id !== undefined) results.set(id, this.#content(id, entry));
    }
    for (const error of answer.value.Errors ?? []) this.#noteError(error, results);
    return results;
  }

  /** Absent or denied is certain; anything else (a secret scheduled for deletion, a key) is asked for on its own. */
  #noteError(error: APIErrorType, results: Map<string, StoreResult<Fetched>>): void {
    const { SecretId: id, ErrorCode: code } = error;
    if (id === undefined) return;
    if (code === 'ResourceNotFoundException') results.set(id, notFound(this.#provider, id));
    if (code === 'AccessDeniedException') {
      results.set(id, failure('access', `${this.#provider}: BatchGetSecretValue denies ${id} with ${code}`));
    }
  }

  /** Asked for one by one where that can help: a store that does not answer or know us is not asked twenty times. */
  #batchFailed(ids: readonly string[], answer: RequestFailure): Map<string, StoreResult<Fetched>> {
    const { failure: failed, name } = answer;
    if (/^(AccessDenied|Unknown(Operation|Action))/.test(name)) {
      this.#noBatchesUntilMs = performance.now() + BATCH_DENIED_MS;
      return new Map();
    }
    if (failed.error.class === 'invalid' || name === 'DecryptionFailure') return new Map();
    const all = failed.error.class === 'not-found' ? this.#noSuchCall() : failed;
    return new Map(ids.map((id) => [id, all]));
  }

  /** "Not found" for a batch as a whole says nothing of any secret. */
  #noSuchCall(): StoreResult<Fetched> {
    return failure('transient', `${this.#provider}: BatchGetSecretValue was not found`);
  }

  async #getOne(
    secretId: string,
    version: string | undefined,
    call: StoreCall,
  ): Promise<StoreResult<Fetched>> {
    const command = new GetSecretValueCommand({
      SecretId: secretId,
      ...(version === undefined ? { VersionStage: CURRENT } : { VersionId: version }),
    });
    const answer = await this.#requester.read(
      'GetSecretValue',
      call,
      (options) => this.#client.send(command, options),
      (content) =>
        content.VersionId !== undefined &&
        (content.SecretString !== undefined || content.SecretBinary !== undefined),
    );
    if (answer.ok) return this.#content(secretId, answer.value);
    if (answer.failure.error.class === 'not-found' && version !== undefined) {
      return this.#goneOrAbsent(secretId, version, call);
    }
    if (answer.name === 'InvalidRequestException') return this.#deletedOrRefused(secretId, answer, call);
    return answer.failure;
  }

  /** A missing version and a missing secret have one error name. */
  async #goneOrAbsent(secretId: string, version: string, call: StoreCall): Promise<StoreResult<Fetched>> {
    const described = await this.#requests.describe(secretId, call);
    return described.ok ? versionGone(this.#provider, secretId, version) : described.failure;
  }

  /** What is scheduled for deletion is gone for readers; other reasons for the same error name are not. */
  async #deletedOrRefused(
    secretId: string,
    refused: RequestFailure,
    call: StoreCall,
  ): Promise<StoreResult<Fetched>> {
    const described = await this.#requests.describe(secretId, call);
    if (!described.ok) return described.failure;
    return described.value.scheduledForDeletion ? notFound(this.#provider, secretId) : refused.failure;
  }

  #content(secretId: string, content: Content): StoreResult<Fetched> {
    if (content.SecretString !== undefined && content.VersionId !== undefined) {
      return success({ value: new SecretValue(content.SecretString), version: content.VersionId });
    }
    return failure('invalid', `${this.#provider}: the secret ${secretId} holds binary data, not a text`);
  }
}
