import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  DescribeParametersCommand,
  GetParametersCommand,
  ListTagsForResourceCommand,
  PutParameterCommand,
  type Parameter,
  type PutParameterRequest,
  type PutParameterResult,
  type SSMClient,
  type Tag as AwsTag,
} from '@aws-sdk/client-ssm';
import type { SecretValue } from '../../secret-value.js';
import { OUR_TAG, ownerOf, type Ownership, type Owner } from '../ownership.js';
import { RepeatedCall } from '../aws-client/repeated-call.js';
import { hasNothing, type Answer, type Requester } from '../requester.js';
import type { StoreCall } from '../port.js';
import type { SsmTier } from './limits.js';
import type { SsmSettings } from './settings.js';

const RESOURCE_TYPE = 'Parameter';
const LIST_PAGE = 50;

export interface ParametersAnswer {
  readonly found: readonly Parameter[];
  /** What was asked for and is not there: names, or names with a version that is gone. */
  readonly invalid: readonly string[];
}

/** The single requests to the SSM Parameter Store. */
export class SsmRequests {
  readonly #client: SSMClient;
  readonly #requester: Requester;
  readonly #ownership: Ownership;
  readonly #tier: SsmTier;
  readonly #keyId: string | null;
  readonly #putParameter: RepeatedCall<PutParameterRequest, PutParameterResult>;

  constructor(
    client: SSMClient,
    requester: Requester,
    ownership: Ownership,
    { SSM_TIER: tier, AWS_KMS_KEY_ID: keyId }: SsmSettings['values'],
  ) {
    this.#client = client;
    this.#requester = requester;
    this.#ownership = ownership;
    this.#tier = tier;
    this.#keyId = keyId;
    this.#putParameter = new RepeatedCall(
      client,
      'PutParameter',
      (sent) => (options) => client.send(new PutParameterCommand(sent), options),
    );
  }

  /** Fails with `ParameterAlreadyExists` where there is one. Answers with the version. */
  create(name: string, value: SecretValue, connectionId: string, call: StoreCall): Promise<Answer<number>> {
    return this.#put(
      {
        Name: name,
        Value: value.reveal(),
        Type: 'SecureString',
        Overwrite: false,
        Tier: this.#tier === 'advanced' ? 'Advanced' : 'Standard',
        Tags: this.#tags(connectionId),
      },
      call,
    );
  }

  /**
   * Creates the parameter, without tags, where there is none: its version is 1 then. A tier is only named to go up: the
   * service refuses to take a parameter down from the advanced one.
   */
  overwrite(name: string, value: SecretValue, call: StoreCall): Promise<Answer<number>> {
    return this.#put(
      {
        Name: name,
        Value: value.reveal(),
        Type: 'SecureString',
        Overwrite: true,
        ...(this.#tier === 'advanced' ? { Tier: 'Advanced' as const } : {}),
      },
      call,
    );
  }

  tag(name: string, connectionId: string, call: StoreCall, isAdopted?: boolean): Promise<Answer<unknown>> {
    const command = new AddTagsToResourceCommand({
      ResourceType: RESOURCE_TYPE,
      ResourceId: name,
      Tags: this.#tags(connectionId, isAdopted),
    });
    return this.#requester.write(
      'AddTagsToResource',
      call,
      (options) => this.#client.send(command, options),
      hasNothing,
    );
  }

  /** Answers with whom the tags name; null: they are not ours. */
  async owner(name: string, call: StoreCall): Promise<Answer<Owner | null>> {
    const command = new ListTagsForResourceCommand({ ResourceType: RESOURCE_TYPE, ResourceId: name });
    const answer = await this.#requester.read(
      'ListTagsForResource',
      call,
      (options) => this.#client.send(command, options),
      ({ TagList: list }) => list !== undefined,
    );
    return answer.ok ? { ok: true, value: ownerOf(answer.value.TagList) } : answer;
  }

  /** Up to fifty names that carry our tag; of which connection only {@link owner} tells. */
  async list(
    prefix: string,
    after: string | null,
    call: StoreCall,
  ): Promise<Answer<{ readonly names: readonly string[]; readonly next: string | null }>> {
    const command = new DescribeParametersCommand({
      MaxResults: LIST_PAGE,
      ParameterFilters: [
        { Key: 'Path', Option: 'Recursive', Values: [prefix.replace(/\/+$/, '')] },
        { Key: `tag:${OUR_TAG.key}`, Values: [OUR_TAG.value] },
      ],
      ...(after === null ? {} : { NextToken: after }),
    });
    const answer = await this.#requester.read(
      'DescribeParameters',
      call,
      (options) => this.#client.send(command, options),
      ({ Parameters: list }) => list !== undefined,
    );
    if (!answer.ok) return answer;
    const names = (answer.value.Parameters ?? []).flatMap(({ Name: name }) =>
      name?.startsWith(prefix) === true ? [name] : [],
    );
    return { ok: true, value: { names, next: answer.value.NextToken ?? null } };
  }

  /** At most ten names, no parameter twice. The service answers in any order. */
  async parameters(
    names: readonly string[],
    call: StoreCall,
    decrypted: boolean,
  ): Promise<Answer<ParametersAnswer>> {
    const command = new GetParametersCommand({ Names: [...names], WithDecryption: decrypted });
    const answer = await this.#requester.read(
      'GetParameters',
      call,
      (options) => this.#client.send(command, options),
      ({ Parameters: found, InvalidParameters: invalid }) => found !== undefined || invalid !== undefined,
    );
    if (!answer.ok) return answer;
    const { Parameters: found = [], InvalidParameters: invalid = [] } = answer.value;
    return { ok: true, value: { found, invalid } };
  }

  delete(name: string, call: StoreCall): Promise<Answer<unknown>> {
    const command = new DeleteParameterCommand({ Name: name });
    return this.#requester.write(
      'DeleteParameter',
      call,
      (options) => this.#client.send(command, options),
      hasNothing,
    );
  }

  async #put(input: PutParameterRequest, call: StoreCall): Promise<Answer<number>> {
    const answer = await this.#requester.write(
      'PutParameter',
      call,
      this.#putParameter.send(this.#keyId === null ? input : { ...input, KeyId: this.#keyId }),
      ({ Version: version }) => version !== undefined && version > 0,
    );
    return answer.ok ? { ok: true, value: answer.value.Version ?? 0 } : answer;
  }

  #tags(connectionId: string, isAdopted?: boolean): AwsTag[] {
    return this.#ownership
      .tagsFor(connectionId, isAdopted)
      .map(({ key, value }) => ({ Key: key, Value: value }));
  }
}
