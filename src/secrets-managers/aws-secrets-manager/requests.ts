import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  TagResourceCommand,
  UpdateSecretVersionStageCommand,
  type CreateSecretRequest,
  type CreateSecretResponse,
  type DescribeSecretResponse,
  type PutSecretValueRequest,
  type PutSecretValueResponse,
  type SecretsManagerClient,
  type Tag as AwsTag,
} from '@aws-sdk/client-secrets-manager';
import { OUR_TAG, ownerOf, type Ownership } from '../ownership.js';
import { RepeatedCall } from '../aws-client/repeated-call.js';
import { hasNothing, type Answer, type Requester } from '../requester.js';
import type { Description, ListPage, PutItem, StoreCall } from '../port.js';
import type { SecretsManagerSettings } from './settings.js';

export const CURRENT = 'AWSCURRENT';
const LIST_PAGE = 100;

/** The single requests to Secrets Manager that change something, and the description they are decided by. */
export class SecretsManagerRequests {
  readonly #client: SecretsManagerClient;
  readonly #requester: Requester;
  readonly #ownership: Ownership;
  readonly #settings: SecretsManagerSettings['values'];
  readonly #create: RepeatedCall<CreateSecretRequest, CreateSecretResponse>;
  readonly #putValue: RepeatedCall<PutSecretValueRequest, PutSecretValueResponse>;

  constructor(
    client: SecretsManagerClient,
    requester: Requester,
    ownership: Ownership,
    settings: SecretsManagerSettings['values'],
  ) {
    this.#client = client;
    this.#requester = requester;
    this.#ownership = ownership;
    this.#settings = settings;
    this.#create = new RepeatedCall(
      client,
      'CreateSecret',
      (input) => (options) => client.send(new CreateSecretCommand(input), options),
    );
    this.#putValue = new RepeatedCall(
      client,
      'PutSecretValue',
      (input) => (options) => client.send(new PutSecretValueCommand(input), options),
    );
  }

  /** Answers with the version. */
  async create(item: PutItem, call: StoreCall): Promise<Answer<string>> {
    const { AWS_KMS_KEY_ID: keyId } = this.#settings;
    const answer = await this.#requester.write(
      'CreateSecret',
      call,
      this.#create.send({
        Name: item.secretId,
        SecretString: item.value.reveal(),
        ClientRequestToken: item.requestKey,
        Tags: this.#tags(item.connectionId),
        ...(keyId === null ? {} : { KmsKeyId: keyId }),
      }),
      ({ ARN: arn, VersionId: version }) => isText(arn) && isText(version),
    );
    return answer.ok ? { ok: true, value: answer.value.VersionId ?? '' } : answer;
  }

  /** Answers with the version. */
  async putValue(item: PutItem, call: StoreCall): Promise<Answer<string>> {
    const answer = await this.#requester.write(
      'PutSecretValue',
      call,
      this.#putValue.send({
        SecretId: item.secretId,
        SecretString: item.value.reveal(),
        ClientRequestToken: item.requestKey,
      }),
      ({ ARN: arn, VersionId: version }) => isText(arn) && isText(version),
    );
    return answer.ok ? { ok: true, value: answer.value.VersionId ?? '' } : answer;
  }

  async describe(secretId: string, call: StoreCall): Promise<Answer<Description>> {
    const command = new DescribeSecretCommand({ SecretId: secretId });
    const answer = await this.#requester.read(
      'DescribeSecret',
      call,
      (options) => this.#client.send(command, options),
      namesSecret,
    );
    return answer.ok ? { ok: true, value: this.#descriptionOf(answer.value) } : answer;
  }

  /** Up to a hundred secrets with our tags, those that are scheduled for deletion among them. */
  async list(prefix: string, after: string | null, call: StoreCall): Promise<Answer<ListPage>> {
    const command = new ListSecretsCommand({
      MaxResults: LIST_PAGE,
      IncludePlannedDeletion: true,
      Filters: [
        { Key: 'name', Values: [prefix] },
        { Key: 'tag-key', Values: [OUR_TAG.key] },
        { Key: 'tag-value', Values: [OUR_TAG.value] },
      ],
      ...(after === null ? {} : { NextToken: after }),
    });
    const answer = await this.#requester.read(
      'ListSecrets',
      call,
      (options) => this.#client.send(command, options),
      ({ SecretList: list }) => list !== undefined,
    );
    if (!answer.ok) return answer;
    // The filters take beginnings for the whole, and tags apart from each other: looked at again.
    const secrets = (answer.value.SecretList ?? []).flatMap(
      ({ Name: name, Tags: tags, DeletedDate: date }) => {
        const owner = ownerOf(tags);
        if (name?.startsWith(prefix) !== true || owner === null) return [];
        const standing = this.#ownership.standingOf(owner);
        return [{ secretId: name, ...standing, scheduledForDeletion: date !== undefined }];
      },
    );
    return { ok: true, value: { secrets, next: answer.value.NextToken ?? null } };
  }

  tag(
    secretId: string,
    connectionId: string,
    call: StoreCall,
    isAdopted?: boolean,
  ): Promise<Answer<unknown>> {
    const command = new TagResourceCommand({
      SecretId: secretId,
      Tags: this.#tags(connectionId, isAdopted),
    });
    return this.#requester.write(
      'TagResource',
      call,
      (options) => this.#client.send(command, options),
      hasNothing,
    );
  }

  undelete(secretId: string, call: StoreCall): Promise<Answer<unknown>> {
    const command = new RestoreSecretCommand({ SecretId: secretId });
    return this.#requester.write(
      'RestoreSecret',
      call,
      (options) => this.#client.send(command, options),
      namesSecret,
    );
  }

  delete(secretId: string, call: StoreCall): Promise<Answer<unknown>> {
    const { AWS_SM_FORCE_DELETE: forceDelete, AWS_SM_RECOVERY_WINDOW_DAYS: recoveryWindowDays } =
      this.#settings;
    const command = new DeleteSecretCommand({
      SecretId: secretId,
      ...(forceDelete ? { ForceDeleteWithoutRecovery: true } : { RecoveryWindowInDays: recoveryWindowDays }),
    });
    return this.#requester.write(
      'DeleteSecret',
      call,
      (options) => this.#client.send(command, options),
      namesSecret,
    );
  }

  /** Fails where `from` is no longer the current version: a compare-and-set. */
  moveCurrent(secretId: string, from: string, to: string, call: StoreCall): Promise<Answer<unknown>> {
    const command = new UpdateSecretVersionStageCommand({
      SecretId: secretId,
      VersionStage: CURRENT,
      MoveToVersionId: to,
      ...(from === '' ? {} : { RemoveFromVersionId: from }),
    });
    return this.#requester.write(
      'UpdateSecretVersionStage',
      call,
      (options) => this.#client.send(command, options),
      namesSecret,
    );
  }

  #tags(connectionId: string, isAdopted?: boolean): AwsTag[] {
    return this.#ownership
      .tagsFor(connectionId, isAdopted)
      .map(({ key, value }) => ({ Key: key, Value: value }));
  }

  /** A secret without a value has no current version: its version is empty. */
  #descriptionOf(response: DescribeSecretResponse): Description {
    const stages = Object.entries(response.VersionIdsToStages ?? {});
    return {
      version: stages.find(([, labels]) => labels.includes(CURRENT))?.[0] ?? '',
      ...this.#ownership.standingOf(ownerOf(response.Tags)),
      scheduledForDeletion: response.DeletedDate !== undefined,
    };
  }
}

function isText(member: string | undefined): boolean {
  return member !== undefined && member !== '';
}

function namesSecret({ ARN: arn }: { readonly ARN?: string | undefined }): boolean {
  return isText(arn);
}
