import { SecretValue } from '../secret-value.js';
import { isReadable } from '../setting/forms.js';
import { Refusal, type Form } from '../setting/setting.js';

/** TLS to a database server: none, encrypted without a check of the certificate, or with one. */
export interface DatabaseTls {
  readonly mode: 'disable' | 'require' | 'verify';
  /** PEM file of the authorities to trust; null: the system's. */
  readonly caFile: string | null;
}

export interface SqliteAddress {
  readonly type: 'sqlite';
  /** `:memory:` for a database that ends with the process. */
  readonly file: string;
}

export interface ServerAddress {
  readonly type: 'postgres' | 'mysql' | 'mariadb';
  /** A name or address; for PostgreSQL also the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string | null;
  readonly password: SecretValue | null;
  readonly database: string;
  /** PostgreSQL schema (`?schema=`); null: the server's default. */
  readonly schema: string | null;
  readonly tls: DatabaseTls;
}

export type DatabaseAddress = SqliteAddress | ServerAddress;

const SERVERS = {
  'postgres:': { type: 'postgres', port: 5432 },
  'postgresql:': { type: 'postgres', port: 5432 },
  'mysql:': { type: 'mysql', port: 3306 },
  'mariadb:': { type: 'mariadb', port: 3306 },
} as const;

/** `sslmode` of libpq and `ssl-mode` of MySQL's clients. */
const TLS_MODES: Readonly<Record<string, DatabaseTls['mode']>> = {
  disable: 'disable',
  disabled: 'disable',
  require: 'require',
  required: 'require',
  'verify-ca': 'verify',
  'verify-full': 'verify',
  verify_ca: 'verify',
  verify_identity: 'verify',
};
const PARAMETERS = ['sslmode', 'ssl-mode', 'sslrootcert', 'ssl-ca', 'schema', 'host'];

/** DATABASE_URL. Messages never repeat any part of it: it may contain a password. */
export const databaseUrl: Form<DatabaseAddress> = {
  form: '`sqlite:FILE`, `postgres://…`, `mysql://…` or `mariadb://…`',
  parse: (given) => {
    if (given.startsWith('sqlite:')) return sqliteAddress(given.slice('sqlite:'.length));
    const scheme = /^[a-z]+:(?=\/\/)/.exec(given)?.[0] ?? '';
    const server = new Map(Object.entries(SERVERS)).get(scheme);
    if (server === undefined) {
      throw new Refusal('must begin with sqlite:, postgres://, postgresql://, mysql:// or mariadb://');
    }
    return serverAddress(server.type, server.port, given);
  },
};

function sqliteAddress(file: string): SqliteAddress {
  if (file === '') throw new Refusal('must name a file after sqlite:');
  if (/^\/\/(?!\/)/.test(file)) throw new Refusal('must be written sqlite:FILE, without //');
  return { type: 'sqlite', file: file.replace(/^\/{2,}/, '/') };
}

function serverAddress(type: ServerAddress['type'], defaultPort: number, given: string): ServerAddress {
  if (!URL.canParse(given)) {
    throw new Refusal(
      'must be a valid URL (percent-encode characters such as @ : / # ? % in user name and password)',
    );
  }
  const url = new URL(given);
  const parameters = parametersOf(url);
  const host = parameters.get('host') ?? decoded(url.hostname).replace(/^\[|\]$/g, '');
  const database = decoded(url.pathname.slice(1));
  const schema = parameters.get('schema') ?? null;
  if (host === '') throw new Refusal('must name a host');
  if (database === '' || database.includes('/')) throw new Refusal('must name one database after the host');
  if (url.hash !== '') throw new Refusal('must not contain # (percent-encode it as %23)');
  if (schema !== null && (type !== 'postgres' || !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema))) {
    throw new Refusal('parameter schema is for PostgreSQL: letters, digits and _, at most 63');
  }
  return {
    type,
    host,
    port: url.port === '' ? defaultPort : Number(url.port),
    user: url.username === '' ? null : decoded(url.username),
    password: url.password === '' ? null : new SecretValue(decoded(url.password)),
    database,
    schema,
    tls: tlsOf(parameters),
  };
}

function parametersOf(url: URL): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!PARAMETERS.includes(name) || parameters.has(name)) {
      throw new Refusal(`may have these parameters, once each: ${PARAMETERS.join(', ')}`);
    }
    parameters.set(name, value);
  }
  return parameters;
}

function tlsOf(parameters: ReadonlyMap<string, string>): DatabaseTls {
  const mode = parameters.get('sslmode') ?? parameters.get('ssl-mode');
  const caFile = parameters.get('sslrootcert') ?? parameters.get('ssl-ca') ?? null;
  if (caFile !== null && !isReadable(caFile)) {
    throw new Refusal('parameter sslrootcert must be the path of a file that exists and can be read');
  }
  if (mode === undefined) return { mode: caFile === null ? 'disable' : 'verify', caFile };
  const known = new Map(Object.entries(TLS_MODES)).get(mode.toLowerCase());
  // `prefer` and `allow` fall back to plain text when somebody on the way asks for it.
  if (known === undefined) {
    throw new Refusal('parameter sslmode must be disable, require, verify-ca or verify-full');
  }
  return { mode: known, caFile };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal('has a % that begins no percent-encoding (write % as %25)');
  }
}
