import { z } from 'zod';
import { SecretValue } from '../../secret-value.js';
import type { Owner, Ownership } from '../ownership.js';
import { ownerOf } from '../ownership.js';
import type { Description, Fetched, PutItem, StoreCall } from '../port.js';
import type { Answer, Requester } from '../requester.js';
import type { VaultAuth } from './auth.js';
import { VaultAnswerError } from './errors.js';
import type { VaultAnswer, VaultHttp, VaultRequest } from './http.js';

/** Where OpenMetadata's readers look. */
const VALUE_KEY = 'value';
/** Whose a version is, from the moment it is there: tags are a second request. Readers pass over it. */
const OWNER_KEY = 'connection-secrets-owner';

const CUSTOM = z.record(z.string(), z.string()).nullish();
const WRITTEN = z.object({ data: z.object({ version: z.int().positive(), custom_metadata: CUSTOM }) });
const READ = z.object({
  data: z.object({
    data: z.record(z.string(), z.unknown()),
    metadata: z.object({ version: z.int().positive() }),
  }),
});
const VERSION = z.object({ deletion_time: z.string(), destroyed: z.boolean() });
const METADATA = z.object({
  data: z.object({
    current_version: z.int().nonnegative(),
    versions: z.record(z.string(), VERSION),
    custom_metadata: CUSTOM,
  }),
});
const KEYS = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const CAPABILITIES = z.record(z.string(), z.unknown());
const MOUNT = z.object({ data: z.object({ options: z.record(z.string(), z.string()).nullish() }) });

type Custom = Readonly<Record<string, string>>;

/** A secret as its metadata tell. */
export interface Found extends Description {
  readonly currentVersion: number;
  readonly custom: Custom;
  /** Its tags are ours. Else what makes it ours stands in the value only. */
  readonly isTagged: boolean;
}

export interface WrittenVersion {
  readonly version: number;
  readonly owner: Owner | null;
  /** The metadata of the secret, our tags among them. */
  readonly custom: Custom;
}

/** The single requests to the key-value engine. Source: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 */
export class VaultRequests {
  readonly #http: VaultHttp;
  readonly #auth: VaultAuth;
  readonly #requester: Requester;
  readonly #ownership: Ownership;
  readonly #mount: string;

  constructor(
    {
      http,
      auth,
      requester,
      ownership,
    }: {
      http: VaultHttp;
      auth: VaultAuth;
      requester: Requester;
      ownership: Ownership;
    },
    mount: string,
  ) {
    this.#http = http;
    this.#auth = auth;
    this.#requester = requester;
    this.#ownership = ownership;
    this.#mount = mount;
  }

  /** Writes only where `cas` is the current version; 0: where there is none. Fails with `CasMismatch`. */
  write(
    { secretId, value, connectionId }: Pick<PutItem, 'secretId' | 'value' | 'connectionId'>,
    cas: number,
    call: StoreCall,
  ): Promise<Answer<WrittenVersion>> {
    const { installation } = this.#ownership.ownerFor(connectionId);
    const owner = JSON.stringify([connectionId, installation, secretId]);
    const body = { options: { cas }, data: { [VALUE_KEY]: value.reveal(), [OWNER_KEY]: owner } };
    return this.#write(
      'POST data',
      { method: 'POST', path: this.#path('data', secretId), body },
      call,
      (answer) => {
        const parsed = WRITTEN.safeParse(answer.body);
        if (!parsed.success) return null;
        const { version, custom_metadata } = parsed.data.data;
        const custom = custom_metadata ?? {};
        return { version, owner: ownerOf(asTags(custom)), custom };
      },
    );
  }

  /** A value by its version, or the current one. A deleted or destroyed one is not found. */
  read(secretId: string, version: string | null, call: StoreCall): Promise<Answer<Fetched | null>> {
    const query = version === null ? '' : `?version=${encodeURIComponent(version)}`;
    const request = { method: 'GET', path: `${this.#path('data', secretId)}${query}` } as const;
    return this.#read('GET data', request, call, (answer) => {
      const parsed = READ.safeParse(answer.body);
      if (!parsed.success) return undefined;
      const { data, metadata } = parsed.data.data;
      const value = data[VALUE_KEY];
      // Somebody else's, with other keys: there is nothing that we could give.
      if (typeof value !== 'string') return null;
      return { value: new SecretValue(value), version: String(metadata.version) };
    });
  }

  /** Whose it is stands in its tags, or, where they are not there yet, in its value. */
  async describe(secretId: string, call: StoreCall): Promise<Answer<Found>> {
    const request = { method: 'GET', path: this.#path('metadata', secretId) } as const;
    const found = await this.#read('GET metadata', request, call, (answer) => {
      const parsed = METADATA.safeParse(answer.body);
      return parsed.success ? parsed.data.data : undefined;
    });
    if (!found.ok) return found;
    const { current_version: currentVersion, versions, custom_metadata } = found.value;
    const custom = custom_metadata ?? {};
    const current = versions[String(currentVersion)];
    const isGone = current !== undefined && (current.destroyed || isPast(current.deletion_time));
    const tagged = ownerOf(asTags(custom));
    const isReadable = current !== undefined && !isGone;
    const inValue: Answer<Owner | null> =
      tagged === null && isReadable ? await this.#ownerInValue(secretId, call) : { ok: true, value: tagged };
    if (!inValue.ok) return inValue;
    const owner = inValue.value;
    return {
      ok: true,
      value: {
        version: currentVersion === 0 ? '' : String(currentVersion),
        ...this.#ownership.standingOf(owner),
        scheduledForDeletion: isGone,
        currentVersion,
        custom,
        isTagged: tagged !== null,
      },
    };
  }

  /** Puts our tags beside those that are there. */
  tag(
    {
      secretId,
      connectionId,
      custom,
      isAdopted = false,
    }: {
      secretId: string;
      connectionId: string;
      custom: Custom;
      isAdopted?: boolean;
    },
    call: StoreCall,
  ): Promise<Answer<unknown>> {
    const ours = this.#ownership
      .tagsFor(connectionId, isAdopted)
      .map(({ key, value }) => [key, value] as const);
    const body = { custom_metadata: { ...custom, ...Object.fromEntries(ours) } };
    const request = { method: 'POST', path: this.#path('metadata', secretId), body } as const;
    return this.#write('POST metadata', request, call, ({ status }) =>
      status === 204 || status === 200 ? true : null,
    );
  }

  undelete(secretId: string, version: string, call: StoreCall): Promise<Answer<unknown>> {
    const body = { versions: [Number(version)] };
    const request = { method: 'POST', path: this.#path('undelete', secretId), body } as const;
    return this.#write('POST undelete', request, call, ({ status }) => (status === 204 ? true : null));
  }

  /** All versions and the tags, for good. */
  delete(secretId: string, call: StoreCall): Promise<Answer<unknown>> {
    const request = { method: 'DELETE', path: this.#path('metadata', secretId) } as const;
    return this.#write('DELETE metadata', request, call, ({ status }) => (status === 204 ? true : null));
  }

  /** Names in a folder, those of folders with a slash at their end. An empty folder is not found. */
  list(folder: string, call: StoreCall): Promise<Answer<readonly string[]>> {
    const request = { method: 'GET', path: `${this.#path('metadata', folder)}?list=true` } as const;
    return this.#read('GET list', request, call, (answer) => {
      const parsed = KEYS.safeParse(answer.body);
      return parsed.success ? parsed.data.data.keys : undefined;
    });
  }

  /** The version of the engine at the mount; null where we may not see it. */
  engineVersion(call: StoreCall): Promise<Answer<string | null>> {
    const path = `sys/internal/ui/mounts/${this.#mount}`;
    return this.#read('GET mount', { method: 'GET', path }, call, (answer) => {
      const parsed = MOUNT.safeParse(answer.body);
      return parsed.success ? (parsed.data.data.options?.['version'] ?? '1') : undefined;
    });
  }

  /** What our token may do with a secret, by the part of the API and its path. */
  capabilities(secretId: string, call: StoreCall): Promise<Answer<ReadonlyMap<string, readonly string[]>>> {
    const paths = ['data', 'metadata'].map((part) => this.#path(part, secretId));
    const request = { method: 'POST', path: 'sys/capabilities-self', body: { paths } } as const;
    return this.#read('POST capabilities-self', request, call, (answer) => {
      const parsed = CAPABILITIES.safeParse(answer.body);
      if (!parsed.success) return undefined;
      const { data = parsed.data } = parsed.data as { data?: Record<string, unknown> };
      const told = paths.map((path) => [path, z.array(z.string()).safeParse(data[path]).data] as const);
      return told.every(([, words]) => words !== undefined)
        ? new Map(told.map(([path, words = []]) => [path, words]))
        : undefined;
    });
  }

  async #ownerInValue(secretId: string, call: StoreCall): Promise<Answer<Owner | null>> {
    const request = { method: 'GET', path: this.#path('data', secretId) } as const;
    const read = await this.#read('GET data', request, call, (answer) => {
      const parsed = READ.safeParse(answer.body);
      return parsed.success ? { word: parsed.data.data.data[OWNER_KEY] } : undefined;
    });
    return read.ok ? { ok: true, value: ownerOfWord(read.value.word, secretId) } : read;
  }

  #path(part: string, secretId: string): string {
    const segments = secretId.replace(/^\//, '').split('/');
    return `${this.#mount}/${part}/${segments.map(encodeURIComponent).join('/')}`;
  }

  /** @param use what the answer says; undefined: it lacks what it always has */
  async #read<T>(
    name: string,
    request: Omit<VaultRequest, 'token'>,
    call: StoreCall,
    use: (answer: VaultAnswer) => T | undefined,
  ): Promise<Answer<T>> {
    const send = async ({ abortSignal }: { abortSignal: AbortSignal }) => ({
      said: use(await this.#send(request, abortSignal)),
    });
    const answer = await this.#requester.read(name, call, send, ({ said }) => said !== undefined);
    return answer.ok ? { ok: true, value: answer.value.said as T } : answer;
  }

  async #write<T>(
    name: string,
    request: Omit<VaultRequest, 'token'>,
    call: StoreCall,
    use: (answer: VaultAnswer) => T | null,
  ): Promise<Answer<T>> {
    const send = async ({ abortSignal }: { abortSignal: AbortSignal }) => ({
      said: use(await this.#send(request, abortSignal)),
    });
    const answer = await this.#requester.write(name, call, send, ({ said }) => said !== null);
    return answer.ok ? { ok: true, value: answer.value.said as T } : answer;
  }

  async #send(request: Omit<VaultRequest, 'token'>, signal: AbortSignal): Promise<VaultAnswer> {
    const token = await this.#auth.token();
    const answer = await this.#http.send({ ...request, token }, signal);
    if (answer.status >= 200 && answer.status < 300) return answer;
    const isUnknown = answer.status === 403 && !(await this.#auth.isKnown(token));
    throw new VaultAnswerError(request.path, answer, isUnknown ? 'TokenUnknown' : null);
  }
}

/** The connection and installation that wrote a value, where it was written for this very name: a copy is not ours. */
function ownerOfWord(word: unknown, secretId: string): Owner | null {
  const parsed = z
    .tuple([z.string(), z.string(), z.string()])
    .safeParse(typeof word === 'string' ? jsonOf(word) : null);
  if (!parsed.success || parsed.data[2] !== secretId) return null;
  const [connectionId, installation] = parsed.data;
  return { connectionId, installation };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function asTags(custom: Custom): { Key: string; Value: string }[] {
  return Object.entries(custom).map(([Key, Value]) => ({ Key, Value }));
}

/** Empty: never. One in the future is a time to live. */
function isPast(time: string): boolean {
  return time !== '' && Date.parse(time) <= Date.now();
}
