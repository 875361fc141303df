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

const ARN_PREFIX = 'arn:aws:ssm:eu-west-1:123456789012:parameter';
const LIMIT_BYTES = { Standard: 4_096, Advanced: 8_192 } as const;

type Tier = keyof typeof LIMIT_BYTES;

interface Version {
  number: number;
  value: string;
  type: string;
}

interface Parameter {
  name: string;
  tier: Tier;
  tags: Tag[];
  versions: Version[];
}

const invalid = (message: string): AwsError => new AwsError('ValidationException', message);

function matches({ name, tags }: Parameter, { key, option, values }: Filter): boolean {
  if (key.startsWith('tag:')) {
    const tag = tags.find(({ Key }) => Key === key.slice('tag:'.length));
    return tag !== undefined && (values.length === 0 || values.includes(tag.Value));
  }
  if (key !== 'Path' || option !== 'Recursive') throw invalid(`no filter ${key} ${option}`);
  if (values.some((value) => !/^\/.*[^/]$/.test(value)))
    throw invalid('a path begins with a slash, and ends in none');
  return values.some((value) => name.startsWith(`${value}/`));
}

/** The SSM Parameter Store as its documentation describes it, as far as this project uses it, and as strict. */
export class StandinSsm implements Service {
  readonly targetPrefix = 'AmazonSSM.';
  readonly #parameters = new Map<string, Parameter>();
  /** The account's quota of parameters. */
  maxParameters = 10_000;

  isWrite(operation: string): boolean {
    return !/^(Get|Describe|List)/.test(operation);
  }

  idsOf(input: Input): string[] {
    const ids = [input.text('Name'), input.text('ResourceId'), ...input.texts('Names')];
    return ids.filter((id) => id !== undefined).map((id) => this.#split(id)[0]);
  }

  run(operation: string, input: Input, denied: (id: string) => boolean): unknown {
    if (this.idsOf(input).some(denied)) throw new AwsError('AccessDeniedException', 'not authorized');
    switch (operation) {
      case 'PutParameter':
        return this.#put(input);
      case 'GetParameters':
        return this.#getMany(input);
      case 'GetParameter':
        return { Parameter: this.#get(input.required('Name'), input.flag('WithDecryption')) };
      case 'DescribeParameters':
        return this.#describeMany(input);
      case 'DeleteParameter':
        return this.#delete(input.required('Name'));
      case 'ListTagsForResource':
        return { TagList: this.#resource(input).tags };
      case 'AddTagsToResource':
        return this.#tag(this.#resource(input), input.tags() ?? []);
      case 'RemoveTagsFromResource':
        return this.#untag(this.#resource(input), input.texts('TagKeys'));
      default:
        throw new AwsError('UnknownOperationException', `no operation ${operation}`);
    }
  }

  dump(): StoredSecret[] {
    return [...this.#parameters.values()].map(({ name, tags, versions }) => ({
      service: 'ssm',
      secretId: name,
      value: versions.at(-1)?.value ?? null,
      version: String(versions.at(-1)?.number ?? ''),
      versions: versions.map((version) => String(version.number)),
      tags: tagRecord(tags),
      scheduledForDeletion: false,
    }));
  }

  seed({ secretId, value = '', tags }: SeededSecret): void {
    const first: Version = { number: 1, value, type: 'SecureString' };
    this.#parameters.set(secretId, {
      name: secretId,
      tier: 'Standard',
      tags: tagList(tags),
      versions: [first],
    });
  }

  clear(): void {
    this.#parameters.clear();
  }

  #put(input: Input): unknown {
    const name = input.required('Name');
    const value = input.required('Value');
    const tags = input.tags();
    const existing = this.#parameters.get(name);
    this.#checkName(name);
    if (tags !== undefined && input.flag('Overwrite')) throw invalid('tags and overwrite exclude each other');
    checkTags(tags ?? [], 'ValidationException');
    const tier = this.#tier(input.text('Tier'), existing);
    const bytes = Buffer.byteLength(value);
    if (bytes < 1 || bytes > LIMIT_BYTES[tier]) throw invalid(`Value '${value}' fails to satisfy its length`);
    if (value.includes('{{')) throw invalid(`Parameter value ${value} can't nest another parameter`);
    if (existing !== undefined && !input.flag('Overwrite')) {
      throw new AwsError('ParameterAlreadyExists', `the parameter ${name} already exists`);
    }
    const type = input.text('Type') ?? existing?.versions.at(-1)?.type;
    if (type === undefined) throw invalid('a new parameter needs a type');
    const parameter = existing ?? this.#newParameter(name, tier, tags ?? []);
    parameter.tier = tier;
    const number = (parameter.versions.at(-1)?.number ?? 0) + 1;
    parameter.versions = [...parameter.versions, { number, value, type }].slice(-100);
    return { Version: number, Tier: tier };
  }

  #getMany(input: Input): unknown {
    const names = input.texts('Names');
    if (names.length < 1 || names.length > 10) throw invalid('between 1 and 10 names');
    const bare = names.map((name) => this.#split(name)[0]);
    if (new Set(bare).size < bare.length) throw invalid('a parameter is named twice');
    const found: unknown[] = [];
    const missing: string[] = [];
    // The service does not answer in the order of the request.
    for (const name of [...names].reverse()) {
      try {
        found.push(this.#get(name, input.flag('WithDecryption')));
      } catch (error) {
        if (!(error instanceof AwsError) || !error.awsName.endsWith('NotFound')) throw error;
        missing.push(name);
      }
    }
    return { Parameters: found, InvalidParameters: missing };
  }

  #get(selector: string, decrypted: boolean): unknown {
    const [name, wanted] = this.#split(selector);
    if (!/^[A-Za-z0-9_.\-/:]+$/.test(name)) throw invalid(`the name ${name} is not valid`);
    const parameter = this.#parameters.get(name);
    if (parameter === undefined) throw new AwsError('ParameterNotFound', `no parameter ${name}`);
    const version =
      wanted === undefined
        ? parameter.versions.at(-1)
        : parameter.versions.find((one) => String(one.number) === wanted);
    if (version === undefined) throw new AwsError('ParameterVersionNotFound', `no version ${wanted}`);
    return {
      Name: name,
      ARN: ARN_PREFIX + name,
      Type: version.type,
      Value: decrypted ? version.value : 'AQICAHi-encrypted',
      Version: version.number,
      ...(wanted === undefined ? {} : { Selector: `:${wanted}` }),
    };
  }

  /** Like the service, it shows no tags: only its filters look at them. */
  #describeMany(input: Input): unknown {
    const found = [...this.#parameters.values()].filter((one) =>
      input.filters('ParameterFilters').every((filter) => matches(one, filter)),
    );
    const { page, next } = pageOf(found, input, 50, () => invalid('a page has 1 to 50 parameters'));
    const described = page.map(({ name, tier, versions }) => ({
      Name: name,
      Tier: tier,
      Type: versions.at(-1)?.type,
      Version: versions.at(-1)?.number,
    }));
    return { Parameters: described, ...next };
  }

  #delete(name: string): unknown {
    if (!this.#parameters.delete(name)) throw new AwsError('ParameterNotFound', `no parameter ${name}`);
    return {};
  }

  #tag(parameter: Parameter, tags: Tag[]): unknown {
    const merged = mergeTags(parameter.tags, tags);
    checkTags(tags, 'ValidationException');
    checkTags(merged, 'ValidationException');
    parameter.tags = merged;
    return {};
  }

  #untag(parameter: Parameter, keys: readonly string[]): unknown {
    parameter.tags = parameter.tags.filter((tag) => !keys.includes(tag.Key));
    return {};
  }

  #resource(input: Input): Parameter {
    const parameter = this.#parameters.get(input.required('ResourceId'));
    if (parameter === undefined) throw new AwsError('InvalidResourceId', 'the resource id is not valid');
    return parameter;
  }

  #newParameter(name: string, tier: Tier, tags: Tag[]): Parameter {
    if (this.#parameters.size >= this.maxParameters) {
      throw new AwsError('ParameterLimitExceeded', 'the quota of parameters is used up');
    }
    const parameter: Parameter = { name, tier, tags, versions: [] };
    this.#parameters.set(name, parameter);
    return parameter;
  }

  #tier(wanted: string | undefined, existing: Parameter | undefined): Tier {
    if (wanted === undefined) return existing?.tier ?? 'Standard';
    if (wanted !== 'Standard' && wanted !== 'Advanced') throw invalid(`no tier ${wanted}`);
    if (wanted === 'Standard' && existing?.tier === 'Advanced') throw invalid('a tier never goes down');
    return wanted;
  }

  #checkName(name: string): void {
    if (!/^\/?[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/.test(name))
      throw invalid(`the name ${name} is not valid`);
    if (name.includes('/') && !name.startsWith('/')) throw invalid('a hierarchy starts with a slash');
    if (/^\/?(aws|ssm)/i.test(name)) throw invalid(`No access to reserved parameter name: ${name}`);
    if ((ARN_PREFIX + name).length > 1_011) throw invalid('the name is too long');
    if (name.split('/').filter(Boolean).length > 15) {
      throw new AwsError('HierarchyLevelLimitExceededException', 'more than 15 levels');
    }
  }

  /** A name or an ARN, with or without a version. */
  #split(selector: string): [name: string, version: string | undefined] {
    const local = selector.startsWith(ARN_PREFIX) ? selector.slice(ARN_PREFIX.length) : selector;
    const at = local.lastIndexOf(':');
    return at < 0 ? [local, undefined] : [local.slice(0, at), local.slice(at + 1)];
  }
}
