/** What the key-value engine answers: a status, and a body where there is one. */
export interface EngineAnswer {
  readonly status: number;
  readonly body?: unknown;
}

export interface StoredVersion {
  data: Record<string, unknown> | null;
  deletionTime: string;
  destroyed: boolean;
}

export interface StoredSecret {
  current: number;
  readonly versions: Map<number, StoredVersion>;
  custom: Record<string, string> | null;
}

/** Versions that are kept, as Vault does where nothing else is configured. */
const VERSIONS_KEPT = 10;
const MAX_KEYS = 64;
const MAX_KEY_BYTES = 128;
const MAX_VALUE_BYTES = 512;
const CREATED = '2026-01-02T03:04:05.678901234Z';

const NOT_FOUND: EngineAnswer = { status: 404, body: { errors: [] } };
const DONE: EngineAnswer = { status: 204 };

function refused(text: string): EngineAnswer {
  return { status: 400, body: { errors: [text] } };
}

/**
 * The key-value engine, version 2, of one mount, as strict as the service.
 * Source: hashicorp/vault-plugin-secrets-kv, path_data.go, path_metadata.go, path_delete.go, path_destroy.go.
 */
export class KeyValueEngine {
  readonly secrets = new Map<string, StoredSecret>();

  write(path: string, body: unknown): EngineAnswer {
    const { data, options = {} } = body as { data?: Record<string, unknown>; options?: { cas?: number } };
    if (path === '' || path.endsWith('/'))
      return { status: 405, body: { errors: ['unsupported operation'] } };
    if (typeof data !== 'object') return refused('no data provided');
    const secret: StoredSecret = this.secrets.get(path) ?? {
      current: 0,
      versions: new Map<number, StoredVersion>(),
      custom: null,
    };
    if (options.cas !== undefined && options.cas !== secret.current)
      return refused('check-and-set parameter did not match the current version');
    secret.current += 1;
    secret.versions.set(secret.current, { data, deletionTime: '', destroyed: false });
    for (const version of [...secret.versions.keys()])
      if (version <= secret.current - VERSIONS_KEPT) secret.versions.delete(version);
    this.secrets.set(path, secret);
    return { status: 200, body: { data: this.#told(secret, secret.current) } };
  }

  read(path: string, asked: number | null): EngineAnswer {
    const secret = this.secrets.get(path);
    if (secret === undefined) return NOT_FOUND;
    const number = asked === null || asked === 0 ? secret.current : asked;
    const version = secret.versions.get(number);
    if (version === undefined) return NOT_FOUND;
    const isGone = version.destroyed || version.deletionTime !== '';
    const metadata = this.#told(secret, number);
    return { status: isGone ? 404 : 200, body: { data: { data: isGone ? null : version.data, metadata } } };
  }

  metadata(path: string): EngineAnswer {
    const secret = this.secrets.get(path);
    if (secret === undefined) return NOT_FOUND;
    const versions = Object.fromEntries(
      [...secret.versions].map(([number, { deletionTime, destroyed }]) => [
        String(number),
        { created_time: CREATED, deletion_time: deletionTime, destroyed },
      ]),
    );
    const oldest = Math.max(0, secret.current - VERSIONS_KEPT + 1);
    return {
      status: 200,
      body: {
        data: {
          cas_required: false,
          created_time: CREATED,
          current_version: secret.current,
          custom_metadata: secret.custom,
          delete_version_after: '0s',
          max_versions: 0,
          oldest_version: oldest,
          updated_time: CREATED,
          versions,
        },
      },
    };
  }

  writeMetadata(path: string, body: unknown): EngineAnswer {
    const { custom_metadata: custom } = body as { custom_metadata?: Record<string, string> };
    if (custom === undefined) return DONE;
    const entries = Object.entries(custom);
    const isFitting =
      entries.length <= MAX_KEYS &&
      entries.every(
        ([key, value]) =>
          fits(key, MAX_KEY_BYTES) && typeof value === 'string' && fits(value, MAX_VALUE_BYTES),
      );
    if (!isFitting) return refused('custom_metadata validation failed: it is beyond the limits');
    const secret = this.secrets.get(path) ?? { current: 0, versions: new Map(), custom: null };
    secret.custom = { ...custom };
    this.secrets.set(path, secret);
    return DONE;
  }

  list(folder: string): EngineAnswer {
    const below = folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
    const keys = [...this.secrets.keys()].flatMap((path) => {
      if (!path.startsWith(below)) return [];
      const [name = '', ...more] = path.slice(below.length).split('/');
      return [more.length > 0 ? `${name}/` : name];
    });
    if (keys.length === 0) return NOT_FOUND;
    return { status: 200, body: { data: { keys: [...new Set(keys)].sort() } } };
  }

  /** `undelete`, `delete` (some versions, so that they can be brought back) and `destroy`. */
  mark(path: string, numbers: readonly number[], change: (version: StoredVersion) => void): EngineAnswer {
    const secret = this.secrets.get(path);
    for (const number of numbers) {
      const version = secret?.versions.get(number);
      if (version !== undefined) change(version);
    }
    return DONE;
  }

  remove(path: string): EngineAnswer {
    this.secrets.delete(path);
    return DONE;
  }

  #told(secret: StoredSecret, number: number) {
    const version = secret.versions.get(number);
    return {
      created_time: CREATED,
      custom_metadata: secret.custom,
      deletion_time: version?.deletionTime ?? '',
      destroyed: version?.destroyed ?? false,
      version: number,
    };
  }
}

function fits(text: string, maxBytes: number): boolean {
  const length = Buffer.byteLength(text);
  return length > 0 && length <= maxBytes && !/\p{C}/u.test(text);
}
