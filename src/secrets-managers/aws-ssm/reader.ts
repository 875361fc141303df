import type { Parameter } from '@aws-sdk/client-ssm';
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
import type { SsmRequests } from './requests.js';

const NAMES_PER_CALL = 10;
const CALLS_AT_ONCE = 4;
/** Errors of who asks, not of what is asked for. */
const CREDENTIALS = /Token|Signature|Client|Credentials|AccessKey|^RequestExpired|Skewed$/;

export interface WantedParameter {
  readonly name: string;
  readonly version?: string;
}

/** What stands in a request: the name, or the name with a version. */
function selectorOf({ name, version }: WantedParameter): string {
  return version === undefined ? name : `${name}:${version}`;
}

/** A user's reference may carry a version or label of its own; an ARN has colons too, all before its first slash. */
function bareNameOf(name: string): string {
  return /^(arn:[^/]*\/[^:]*|[^:]*)/.exec(name)?.[0] ?? name;
}

/** Reads values, ten a call. */
export class SsmReader {
  readonly #provider: string;
  readonly #requests: SsmRequests;

  constructor(provider: string, requests: SsmRequests) {
    this.#provider = provider;
    this.#requests = requests;
  }

  /** Results in the order of what is wanted; the same parameter may be wanted several times, in several versions. */
  async get(wanted: readonly WantedParameter[], call: StoreCall): Promise<StoreResult<Fetched>[]> {
    const bySelector = new Map(wanted.map((item) => [selectorOf(item), item]));
    const parts = await mapLimited(chunksOf([...bySelector.values()]), CALLS_AT_ONCE, (chunk) =>
      this.#chunk(chunk, call),
    );
    const results = new Map(parts.flat());
    return wanted.map((item) => results.get(selectorOf(item)) ?? this.#noAnswer(item));
  }

  async #chunk(
    chunk: readonly WantedParameter[],
    call: StoreCall,
  ): Promise<(readonly [string, StoreResult<Fetched>])[]> {
    const answer = await this.#requests.parameters(chunk.map(selectorOf), call, true);
    if (answer.ok) {
      const { found, invalid } = answer.value;
      return mapLimited(chunk, CALLS_AT_ONCE, async (item) => {
        const parameter = found.find((candidate) => isFor(candidate, item));
        if (parameter !== undefined) return [selectorOf(item), this.#content(item, parameter)] as const;
        const missing = invalid.includes(selectorOf(item))
          ? await this.#missing(item, call)
          : this.#noAnswer(item);
        return [selectorOf(item), missing] as const;
      });
    }
    const failed = answer.failure;
    if (chunk.length === 1) return this.#failedAlone(chunk, failed);
    // One name that is denied or malformed fails the whole call: then each is asked for on its own. Not where the store
    // does not answer or does not know us: ten times more would be no better.
    const one = failed.error.class !== 'transient' && !CREDENTIALS.test(answer.name);
    if (!one) return chunk.map((item) => [selectorOf(item), failed] as const);
    const alone = await mapLimited(chunk, CALLS_AT_ONCE, (item) => this.#chunk([item], call));
    return alone.flat();
  }

  #failedAlone(
    chunk: readonly WantedParameter[],
    failed: StoreResult<never>,
  ): (readonly [string, StoreResult<Fetched>])[] {
    return chunk.map((item) => {
      const gone = !failed.ok && failed.error.code === 'SECRET_VERSION_GONE' && item.version !== undefined;
      const result = gone ? versionGone(this.#provider, item.name, item.version) : failed;
      return [selectorOf(item), result] as const;
    });
  }

  /** A version that is gone and a parameter that is not there look the same in an answer for many. */
  async #missing(item: WantedParameter, call: StoreCall): Promise<StoreResult<Fetched>> {
    if (item.version === undefined) return notFound(this.#provider, item.name);
    const answer = await this.#requests.parameters([bareNameOf(item.name)], call, false);
    if (!answer.ok) return answer.failure;
    return answer.value.found.length > 0
      ? versionGone(this.#provider, item.name, item.version)
      : notFound(this.#provider, item.name);
  }

  #content(item: WantedParameter, parameter: Parameter): StoreResult<Fetched> {
    if (parameter.Value === undefined || parameter.Version === undefined) return this.#noAnswer(item);
    // With a version wanted nothing else may be taken for it.
    if (item.version !== undefined && String(parameter.Version) !== item.version) return this.#noAnswer(item);
    return success({ value: new SecretValue(parameter.Value), version: String(parameter.Version) });
  }

  #noAnswer(item: WantedParameter): StoreResult<never> {
    return failure('transient', `${this.#provider}: GetParameters gave no answer for ${item.name}`);
  }
}

/** Asked for by name or by ARN. No chunk has a parameter twice, so its bare name tells which one it is. */
function isFor(parameter: Parameter, item: WantedParameter): boolean {
  const bare = bareNameOf(item.name);
  return parameter.Name === bare || parameter.ARN === bare || parameter.Name === item.name;
}

/** Chunks of ten in which no parameter occurs twice: the service refuses duplicates. */
function chunksOf(items: readonly WantedParameter[]): WantedParameter[][] {
  const chunks: WantedParameter[][] = [];
  // A parameter's next occurrence goes behind the chunk its last one is in.
  const nextChunk = new Map<string, number>();
  let firstWithRoom = 0;
  for (const item of items) {
    const name = bareNameOf(item.name);
    while ((chunks[firstWithRoom]?.length ?? 0) >= NAMES_PER_CALL) firstWithRoom += 1;
    let at = Math.max(nextChunk.get(name) ?? 0, firstWithRoom);
    while ((chunks[at]?.length ?? 0) >= NAMES_PER_CALL) at += 1;
    while (chunks.length <= at) chunks.push([]);
    chunks[at]?.push(item);
    nextChunk.set(name, at + 1);
  }
  return chunks.filter((chunk) => chunk.length > 0);
}
