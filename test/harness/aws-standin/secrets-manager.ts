import { randomUUID } from 'node:crypto';
import {
  AwsError,
  checkTags,
  mergeTags,
  pageOf,
  tagList,
  tagRecord,
  type Filter,
  type Input,
  type SeededSecret,
  type Service,
  type StoredSecret,
  type Tag,
} from './protocol.js';

const CURRENT = 'AWSCURRENT';
const PREVIOUS = 'AWSPREVIOUS';
const ACCOUNT = '123456789012';

interface Version {
  id: string;
  text?: string;
  binary?: string;
  stages: Set<string>;
}

interface Secret {
  name: string;
  arn: string;
  tags: Tag[];
  versions: Version[];
  deletedAt: number | null;
}

/** Whether a secret matches a filter: one of its values begins the text. A `!` before a value negates it. */
function matches({ name, tags }: Secret, { key, values }: Filter): boolean {
  const texts = {
    name: [name],
    'tag-key': tags.map((tag) => tag.Key),
    'tag-value': tags.map((tag) => tag.Value),
  }[key];
  if (texts === undefined) throw invalid(`no filter ${key}`);
  return values.some((value) =>
    texts.some((text) => (value.startsWith('!') ? !text.startsWith(value.slice(1)) : text.startsWith(value))),
  );
}

const invalid = (message: string): AwsError => new AwsError('InvalidParameterException', message);

/** AWS Secrets Manager as its documentation describes it, as far as this project uses it, and as strict. */
export class StandinSecretsManager implements Service {
  readonly targetPrefix = 'secretsmanager.';
  readonly #secrets = new Map<string, Secret>();
  /** The account's quota of secrets. */
  maxSecrets = 500_000;

  isWrite(operation: string): boolean {
    return !/^(Get|Batch|Describe|List)/.test(operation);
  }

  idsOf(input: Input): string[] {
    const ids = [input.text('Name'), input.text('SecretId'), ...input.texts('SecretIdList')];
    return ids.filter((id) => id !== undefined).map((id) => this.#find(id)?.name ?? id);
  }

  run(operation: string, input: Input, denied: (id: string) => boolean): unknown {
    if (operation === 'BatchGetSecretValue') return this.#batch(input, denied);
    if (this.idsOf(input).some(denied)) throw new AwsError('AccessDeniedException', 'not authorized');
    switch (operation) {
      case 'CreateSecret':
        return this.#create(input);
      case 'PutSecretValue':
        return this.#putValue(input);
      case 'GetSecretValue':
        return this.#getValue(this.#live(input.required('SecretId')), input);
      case 'DescribeSecret':
        return this.#describe(this.#known(input.required('SecretId')));
      case 'ListSecrets':
        return this.#list(input);
      case 'TagResource':
        return this.#tag(this.#live(input.required('SecretId')), input.tags() ?? []);
      case 'UntagResource':
        return this.#untag(this.#live(input.required('SecretId')), input.texts('TagKeys'));
      case 'DeleteSecret':
        return this.#delete(input);
      case 'RestoreSecret':
        return this.#restore(this.#known(input.required('SecretId')));
      case 'UpdateSecretVersionStage':
        return this.#moveStage(this.#live(input.required('SecretId')), input);
      default:
        throw new AwsError('UnknownOperationException', `no operation ${operation}`);
    }
  }

  dump(): StoredSecret[] {
    return [...this.#secrets.values()].map((secret) => {
      const current = this.#staged(secret, CURRENT);
      return {
        service: 'secretsmanager',
        secretId: secret.name,
        value: current?.text ?? null,
        version: current?.id ?? '',
        versions: secret.versions.map((version) => version.id),
        tags: tagRecord(secret.tags),
        scheduledForDeletion: secret.deletedAt !== null,
      };
    });
  }

  seed({ secretId, value, binaryBase64, tags }: SeededSecret): void {
    const secret = this.#newSecret(secretId, tagList(tags));
    this.#addVersion(secret, randomUUID(), value, binaryBase64);
  }

  clear(): void {
    this.#secrets.clear();
  }

  #create(input: Input): unknown {
    const name = input.required('Name');
    if (!/^[A-Za-z0-9/_+=.@-]{1,512}$/.test(name)) throw invalid(`Invalid name ${name}`);
    if (/-[A-Za-z0-9]{6}$/.test(name)) throw invalid('a name must not end in a hyphen and six characters');
    const [token, text] = this.#content(input);
    const tags = input.tags() ?? [];
    checkTags(tags, 'InvalidParameterException');
    const existing = this.#secrets.get(name);
    if (existing !== undefined && existing.deletedAt !== null) {
      throw new AwsError(
        'InvalidRequestException',
        'a secret with this name is already scheduled for deletion',
      );
    }
    if (existing !== undefined) {
      const same = existing.versions.find((version) => version.id === token);
      if (same?.text === text && same !== undefined) return this.#named(existing, { VersionId: token });
      throw new AwsError('ResourceExistsException', `the secret ${name} already exists`);
    }
    if (this.#secrets.size >= this.maxSecrets) {
      throw new AwsError('LimitExceededException', 'the quota of secrets is used up');
    }
    const secret = this.#newSecret(name, tags);
    this.#addVersion(secret, token, text);
    return this.#named(secret, { VersionId: token });
  }

  #putValue(input: Input): unknown {
    const [token, text] = this.#content(input);
    const secret = this.#live(input.required('SecretId'));
    const same = secret.versions.find((version) => version.id === token);
    if (same !== undefined && same.text !== text) {
      throw new AwsError(
        'ResourceExistsException',
        `a version with this token and other content than ${text}`,
      );
    }
    const version = same ?? this.#addVersion(secret, token, text);
    return this.#named(secret, { VersionId: version.id, VersionStages: [...version.stages] });
  }

  #getValue(secret: Secret, input: Input): Record<string, unknown> {
    const [id, stage] = [input.text('VersionId'), input.text('VersionStage') ?? CURRENT];
    const version =
      id === undefined ? this.#staged(secret, stage) : secret.versions.find((one) => one.id === id);
    if (version === undefined) throw new AwsError('ResourceNotFoundException', `no version ${id ?? stage}`);
    return this.#valueOf(secret, version);
  }

  #batch(input: Input, denied: (id: string) => boolean): unknown {
    const ids = input.texts('SecretIdList');
    if (ids.length < 1 || ids.length > 20) throw invalid('between 1 and 20 secrets');
    if (denied('BatchGetSecretValue')) throw new AwsError('AccessDeniedException', 'no batches');
    const values: unknown[] = [];
    const errors: unknown[] = [];
    // The service does not answer in the order of the request.
    for (const id of [...ids].reverse()) {
      try {
        if (denied(this.#find(id)?.name ?? id)) throw new AwsError('AccessDeniedException', 'not authorized');
        const secret = this.#live(id);
        values.push(this.#getValue(secret, input));
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        errors.push({ SecretId: id, ErrorCode: error.awsName, Message: error.message });
      }
    }
    return { SecretValues: values, Errors: errors };
  }

  #describe(secret: Secret): Record<string, unknown> {
    const staged = secret.versions.filter((version) => version.stages.size > 0);
    return {
      ...this.#named(secret, {}),
      Tags: secret.tags,
      VersionIdsToStages: Object.fromEntries(staged.map(({ id, stages }) => [id, [...stages]])),
      ...(secret.deletedAt === null ? {} : { DeletedDate: secret.deletedAt / 1_000 }),
    };
  }

  #list(input: Input): unknown {
    const withDeleted = input.flag('IncludePlannedDeletion');
    const found = [...this.#secrets.values()].filter(
      (one) =>
        (withDeleted || one.deletedAt === null) &&
        input.filters('Filters').every((filter) => matches(one, filter)),
    );
    const { page, next } = pageOf(found, input, 100, () => invalid('a page has 1 to 100 secrets'));
    return { SecretList: page.map((secret) => this.#describe(secret)), ...next };
  }

  #tag(secret: Secret, tags: Tag[]): unknown {
    const merged = mergeTags(secret.tags, tags);
    checkTags(tags, 'InvalidParameterException');
    checkTags(merged, 'InvalidParameterException');
    secret.tags = merged;
    return {};
  }

  #untag(secret: Secret, keys: readonly string[]): unknown {
    secret.tags = secret.tags.filter((tag) => !keys.includes(tag.Key));
    return {};
  }

  #delete(input: Input): unknown {
    const secret = this.#known(input.required('SecretId'));
    const [days, force] = [input.number('RecoveryWindowInDays'), input.flag('ForceDeleteWithoutRecovery')];
    if (days !== undefined && force) throw invalid('a recovery window and no recovery');
    if (days !== undefined && (days < 7 || days > 30)) throw invalid('a recovery window is 7 to 30 days');
    if (force) this.#secrets.delete(secret.name);
    else if (secret.deletedAt !== null) throw this.#scheduled();
    else secret.deletedAt = Date.now() + (days ?? 30) * 86_400_000;
    return this.#named(secret, { DeletionDate: (secret.deletedAt ?? Date.now()) / 1_000 });
  }

  #restore(secret: Secret): unknown {
    secret.deletedAt = null;
    return this.#named(secret, {});
  }

  #moveStage(secret: Secret, input: Input): unknown {
    const [to, from, stage] = [
      input.text('MoveToVersionId'),
      input.text('RemoveFromVersionId'),
      input.required('VersionStage'),
    ];
    const target = secret.versions.find((version) => version.id === to);
    if (to !== undefined && target === undefined) {
      throw new AwsError('ResourceNotFoundException', 'no such version');
    }
    const holder = this.#staged(secret, stage);
    if (holder?.id !== from && holder?.id !== to) throw invalid('the label is on another version');
    if (target !== undefined) this.#setStage(secret, target, stage);
    return this.#named(secret, {});
  }

  #content(input: Input): [token: string, text: string] {
    const token = input.required('ClientRequestToken');
    if (token.length < 32 || token.length > 64) throw invalid('a token has 32 to 64 characters');
    const text = input.required('SecretString');
    const bytes = Buffer.byteLength(text);
    if (bytes < 1 || bytes > 65_536)
      throw invalid(`Value '${text}' at 'secretString' failed to satisfy its length`);
    return [token, text];
  }

  #find(id: string): Secret | undefined {
    return this.#secrets.get(id) ?? [...this.#secrets.values()].find((secret) => secret.arn === id);
  }

  #known(id: string): Secret {
    const secret = this.#find(id);
    if (secret === undefined) throw new AwsError('ResourceNotFoundException', `no secret ${id}`);
    return secret;
  }

  #live(id: string): Secret {
    const secret = this.#known(id);
    if (secret.deletedAt !== null) throw this.#scheduled();
    return secret;
  }

  #scheduled(): AwsError {
    return new AwsError('InvalidRequestException', 'the secret was marked for deletion');
  }

  #staged(secret: Secret, stage: string): Version | undefined {
    return secret.versions.find((version) => version.stages.has(stage));
  }

  #newSecret(name: string, tags: Tag[]): Secret {
    const suffix = randomUUID().slice(0, 6);
    const arn = `arn:aws:secretsmanager:eu-west-1:${ACCOUNT}:secret:${name}-${suffix}`;
    const secret: Secret = { name, arn, tags, versions: [], deletedAt: null };
    this.#secrets.set(name, secret);
    return secret;
  }

  #addVersion(secret: Secret, id: string, text?: string, binary?: string): Version {
    const version: Version = { id, stages: new Set() };
    if (text !== undefined) version.text = text;
    if (binary !== undefined) version.binary = binary;
    secret.versions.push(version);
    this.#setStage(secret, version, CURRENT);
    const deprecated = secret.versions.filter((one) => one.stages.size === 0);
    const drop = new Set(deprecated.slice(0, Math.max(0, secret.versions.length - 100)));
    secret.versions = secret.versions.filter((one) => !drop.has(one));
    return version;
  }

  #setStage(secret: Secret, target: Version, stage: string): void {
    const holder = this.#staged(secret, stage);
    if (holder === target) return;
    holder?.stages.delete(stage);
    if (stage === CURRENT && holder !== undefined) {
      for (const version of secret.versions) version.stages.delete(PREVIOUS);
      holder.stages.add(PREVIOUS);
    }
    target.stages.add(stage);
  }

  #valueOf(secret: Secret, version: Version): Record<string, unknown> {
    return this.#named(secret, {
      VersionId: version.id,
      VersionStages: [...version.stages],
      ...(version.text === undefined ? {} : { SecretString: version.text }),
      ...(version.binary === undefined ? {} : { SecretBinary: version.binary }),
    });
  }

  #named(secret: Secret, more: Record<string, unknown>): Record<string, unknown> {
    return { ARN: secret.arn, Name: secret.name, ...more };
  }
}
