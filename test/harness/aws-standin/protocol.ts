/** An error of an AWS JSON protocol. Its name is sent as `__type`. As with AWS, its text may quote what the client sent. */
export class AwsError extends Error {
  readonly awsName: string;
  readonly status: number;

  constructor(awsName: string, message: string, status = 400) {
    super(message);
    this.awsName = awsName;
    this.status = status;
  }
}

export interface Tag {
  Key: string;
  Value: string;
}

export interface Filter {
  key: string;
  option: string;
  values: string[];
}

/**
 * A page, and the members that say how to go on. Pages are short here, and some are empty although more follow, because
 * the services promise neither full pages nor that an empty page is the last one.
 */
export function pageOf<T>(
  found: readonly T[],
  input: Input,
  maxPerPage: number,
  tooMany: () => AwsError,
): { page: readonly T[]; next: { NextToken?: string } } {
  const wanted = input.number('MaxResults') ?? maxPerPage;
  if (wanted < 1 || wanted > maxPerPage) throw tooMany();
  const token = input.text('NextToken');
  if (token === undefined && found.length > 0) return { page: [], next: { NextToken: 'from-0' } };
  const start = Number(/^from-(\d+)$/.exec(token ?? 'from-0')?.[1] ?? NaN);
  if (Number.isNaN(start)) throw new AwsError('InvalidNextTokenException', 'not a token of ours');
  const end = start + Math.min(wanted, 3);
  return { page: found.slice(start, end), next: end < found.length ? { NextToken: `from-${end}` } : {} };
}

/** The input of one operation. Reads each member with its type. */
export class Input {
  readonly #members: Record<string, unknown>;

  constructor(body: unknown) {
    this.#members = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  }

  text(name: string): string | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string') throw new AwsError('SerializationException', `${name} is not a string`);
    return value;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw new AwsError('ValidationException', `${name} is missing`);
    return value;
  }

  flag(name: string): boolean {
    return this.#members[name] === true;
  }

  number(name: string): number | undefined {
    const value = this.#members[name];
    return typeof value === 'number' ? value : undefined;
  }

  texts(name: string): string[] {
    const value = this.#members[name];
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw new AwsError('SerializationException', `${name} is not a list`);
    return value.map(String);
  }

  filters(name: string): Filter[] {
    const value = this.#members[name];
    if (!Array.isArray(value)) return [];
    return value.map((one: { Key?: string; Option?: string; Values?: string[] }) => ({
      key: one.Key ?? '',
      option: one.Option ?? 'Equals',
      values: one.Values ?? [],
    }));
  }

  tags(): Tag[] | undefined {
    const value = this.#members['Tags'];
    return Array.isArray(value) ? (value as Tag[]) : undefined;
  }
}

const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** The rules for tags that both services share. */
export function checkTags(tags: readonly Tag[], errorName: string): void {
  const refuse = (why: string): never => {
    throw new AwsError(errorName, why);
  };
  if (tags.length > 50) refuse('more than 50 tags');
  if (new Set(tags.map((tag) => tag.Key)).size < tags.length) refuse('a tag key occurs twice');
  for (const { Key: key, Value: value } of tags) {
    if (key.length < 1 || key.length > 128 || !TAG_TEXT.test(key)) refuse(`tag key ${key} is not valid`);
    if (value.length > 256 || !TAG_TEXT.test(value)) refuse(`the value of tag ${key} is not valid`);
    if (/^aws:/i.test(key)) refuse(`tag key ${key} is reserved`);
  }
}

export function mergeTags(old: readonly Tag[], added: readonly Tag[]): Tag[] {
  return [...old.filter((tag) => added.every((other) => other.Key !== tag.Key)), ...added];
}

/** One of the two services. */
export interface Service {
  readonly targetPrefix: string;
  /** The ids that a request names, without ARN and version. */
  idsOf(input: Input): string[];
  /** Runs one operation. `denied` says whether the caller may not use an id. */
  run(operation: string, input: Input, denied: (id: string) => boolean): unknown;
  isWrite(operation: string): boolean;
  dump(): StoredSecret[];
  seed(secret: SeededSecret): void;
  clear(): void;
}

export interface StoredSecret {
  service: 'secretsmanager' | 'ssm';
  secretId: string;
  value: string | null;
  version: string;
  versions: string[];
  tags: Record<string, string>;
  scheduledForDeletion: boolean;
}

export interface SeededSecret {
  secretId: string;
  value?: string;
  binaryBase64?: string;
  tags?: Record<string, string>;
}

export function tagRecord(tags: readonly Tag[]): Record<string, string> {
  return Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value]));
}

export function tagList(record: Record<string, string> = {}): Tag[] {
  return Object.entries(record).map(([Key, Value]) => ({ Key, Value }));
}
