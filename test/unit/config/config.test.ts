import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, SettingsError, type Config } from '../../../src/config.js';
import type { Setting } from '../../../src/setting/setting.js';
import { SETTING_NAMES, SETTINGS } from '../../../src/config/settings.js';
import { vaultFileOf } from '../../../src/secrets-managers/local/provider.js';
import { generateKey } from '../../../src/fernet/index.js';
import { CANARY, KEY, MINIMUM, WRONG } from './wrong-settings.js';

let folder = '';
let file = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-test-'));
  file = join(folder, 'file.pem');
  writeFileSync(file, 'x');
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = (env: Record<string, string>): Config => loadConfig({ ...MINIMUM, ...env });

function errorOf(env: Record<string, string>, need?: readonly ('keys' | 'kafka')[]): SettingsError {
  try {
    loadConfig(env, { need: need ?? ['keys', 'kafka'] });
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('defaults', () => {
  it('are those of the design', () => {
    const config = load({});
    expect(config).toMatchObject({
      warnings: [],
      secretsManager: {
        name: 'db',
        idStyle: 'slash',
        strictIds: false,
        prefix: '',
        clusterName: 'openmetadata',
        tags: [],
        adopt: false,
        migration: null,
        writesPerSecond: 20,
        requestTimeoutMs: 5000,
        values: {
          LOCAL_VAULT_FILE: null,
          OM_SM_REGION: null,
          OM_SM_ACCESS_KEY: null,
          SSM_TIER: 'standard',
          AWS_SM_RECOVERY_WINDOW_DAYS: 30,
          AWS_SM_FORCE_DELETE: false,
        },
      },
      database: { address: { type: 'sqlite', file: './connection-secrets.sqlite' }, migrate: 'auto' },
      kafka: {
        brokers: ['kafka-1:9092'],
        groupId: 'connection-secrets',
        sessionTimeoutMs: 30_000,
        rebalanceTimeoutMs: 60_000,
        tls: null,
        sasl: null,
        purgeSource: 'off',
      },
      topics: {
        created: 'connection.created',
        updated: 'connection.updated',
        deleted: 'connection.deleted',
        secured: 'connection.secured',
        deadLetter: 'connection.dead-letter',
      },
      rules: {
        secretByName: 'externalise',
        unknownConnector: 'heuristic',
        sourceValues: 'any',
        maskedSecretOnNewEndpoint: 'allow',
        secretQuoted: 'mask',
        allowedReferencePrefixes: null,
        catalogFile: null,
        extraPaths: [],
        excludedPaths: [],
        deletionGraceSeconds: 86_400,
        waitSeconds: 600,
      },
      secured: { references: 'plain', format: 'structured' },
      claims: { claimMs: 15_000, storeTimeoutMs: 5000, relayIntervalMs: 2000 },
      worker: { concurrency: 16 },
      http: { host: '127.0.0.1', port: 8080 },
      log: { level: 'info' },
    });
  });

  it('hold for empty variables as well, and the result is frozen throughout', () => {
    const empty = Object.fromEntries(SETTING_NAMES.map((name) => [name, ' ']));
    const config = loadConfig({ ...empty, ...MINIMUM });
    expect(JSON.stringify(config)).toBe(JSON.stringify(load({})));
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.secretsManager.values)).toBe(true);
    expect(Object.isFrozen(config.kafka.brokers)).toBe(true);
  });
});

describe('settings that are read', () => {
  it.each([
    ['noop', 'db'],
    ['local-db', 'db'],
    ['DB', 'db'],
    ['managed-aws-ssm', 'managed-aws-ssm'],
  ])('SECRET_MANAGER=%s is %s', (given, expected) => {
    expect(load({ SECRET_MANAGER: given }).secretsManager.name).toBe(expected);
  });

  it.each([
    [
      '[a:1,b:2]',
      [
        { key: 'a', value: '1' },
        { key: 'b', value: '2' },
      ],
    ],
    [
      'a:1, b:x:y',
      [
        { key: 'a', value: '1' },
        { key: 'b', value: 'x:y' },
      ],
    ],
    ['["a:1"]', [{ key: 'a', value: '1' }]],
    ["['a:1']", [{ key: 'a', value: '1' }]],
    ['[]', []],
  ])('SECRET_MANAGER_TAGS=%s', (given, expected) => {
    expect(load({ SECRET_MANAGER_TAGS: given }).secretsManager.tags).toEqual(expected);
  });

  it.each([
    ['sqlite:/var/lib/a.sqlite', { type: 'sqlite', file: '/var/lib/a.sqlite' }, '/var/lib/a.vault'],
    ['sqlite:///abs/a.db', { type: 'sqlite', file: '/abs/a.db' }, '/abs/a.vault'],
    ['sqlite:a.vault', { type: 'sqlite', file: 'a.vault' }, 'a.vault.vault'],
    ['sqlite::memory:', { type: 'sqlite', file: ':memory:' }, './connection-secrets.vault'],
    [
      'postgresql://u@[::1]/d?sslmode=verify-full&schema=s1',
      { type: 'postgres', host: '::1', port: 5432, user: 'u', password: null, database: 'd', schema: 's1' },
      './connection-secrets.vault',
    ],
    [
      'postgres://u@localhost:5433/d?host=/var/run/pg',
      { type: 'postgres', host: '/var/run/pg', port: 5433, tls: { mode: 'disable', caFile: null } },
      './connection-secrets.vault',
    ],
    [
      'mysql://h/d?ssl-mode=REQUIRED',
      { type: 'mysql', host: 'h', port: 3306, user: null, tls: { mode: 'require', caFile: null } },
      './connection-secrets.vault',
    ],
    ['mariadb://h:3307/d', { type: 'mariadb', host: 'h', port: 3307 }, './connection-secrets.vault'],
  ])('DATABASE_URL=%s', (given, expected, vault) => {
    const config = load({ DATABASE_URL: given });
    expect(config.database.address).toMatchObject(expected);
    const { address } = config.database;
    const databaseFile = address.type === 'sqlite' ? address.file : null;
    expect(vaultFileOf({ values: config.secretsManager.values, databaseFile })).toBe(vault);
  });

  it('takes percent-encoded passwords apart', () => {
    const { address } = load({ DATABASE_URL: 'postgres://u%40x:p%40%2F%3A%25@h/d' }).database;
    expect(address.type === 'postgres' && address.user).toBe('u@x');
    expect(address.type === 'postgres' && address.password?.reveal()).toBe('p@/:%');
  });

  it('keeps white space of passwords', () => {
    const { sasl } = load({
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: ' p ',
    }).kafka;
    expect(sasl?.mechanism === 'scram-sha-512' && sasl.password.reveal()).toBe(' p ');
  });

  it('reads the three ways to a bearer token', () => {
    const env = { KAFKA_SASL_MECHANISM: 'oauthbearer' };
    expect(load({ ...env, KAFKA_SASL_OAUTHBEARER_TOKEN: 't' }).kafka.sasl).toMatchObject({
      token: { from: 'setting' },
    });
    expect(load({ ...env, KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: file }).kafka.sasl).toMatchObject({
      token: { from: 'file', file },
    });
    const endpoint = {
      KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: 'https://login.example/token',
      KAFKA_SASL_OAUTHBEARER_CLIENT_ID: 'c',
      KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: 's',
    };
    expect(load({ ...env, ...endpoint }).kafka.sasl).toMatchObject({
      token: { from: 'endpoint', clientId: 'c' },
    });
  });

  it('reads the rest', () => {
    const config = load({
      SECRET_MANAGER_WRITES_PER_SECOND: '0.5',
      HTTP_PORT: 'off',
      TOPIC_CREATED: 'all',
      TOPIC_UPDATED: 'all',
      TOPIC_DELETED: 'all',
      SECRET_PATHS_EXTRA: '*:a.b[].c,database/mysql:x',
      ALLOWED_REFERENCE_PREFIXES: '/shared/, /team/',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:5000',
      AWS_ENDPOINT_URL_SSM: 'http://127.0.0.1:5001',
      OM_SM_ACCESS_KEY_ID: 'id',
      OM_SM_ACCESS_KEY: 'key',
      AWS_DEFAULT_REGION: 'eu-west-1',
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: file,
      KAFKA_SESSION_TIMEOUT_MS: '90000',
      SECRET_ID_STYLE: 'strict',
    });
    expect(config).toMatchObject({
      http: null,
      topics: { created: 'all', updated: 'all', deleted: 'all' },
      rules: {
        extraPaths: [
          { connector: '*', path: 'a.b[].c' },
          { connector: 'database/mysql', path: 'x' },
        ],
        allowedReferencePrefixes: ['/shared/', '/team/'],
      },
      secretsManager: {
        writesPerSecond: 0.5,
        strictIds: true,
        values: {
          OM_SM_ACCESS_KEY_ID: 'id',
          AWS_DEFAULT_REGION: 'eu-west-1',
          AWS_ENDPOINT_URL: 'http://127.0.0.1:5000',
          AWS_ENDPOINT_URL_SSM: 'http://127.0.0.1:5001',
        },
      },
      kafka: { tls: { caFile: file, certFile: null, keyFile: null }, rebalanceTimeoutMs: 90_000 },
    });
    expect(load({ HTTP_PORT: '0' }).http?.port).toBe(0);
  });

  it('falls back to FERNET_KEY and says for which keys', () => {
    const ingestion = generateKey();
    const { keys } = load({ INGESTION_FERNET_KEY: ingestion });
    expect(keys.ingestionFallsBack).toBe(false);
    expect(load({}).keys.ingestionFallsBack).toBe(true);
    expect(keys.publisher).toBeNull();
    expect(keys.ingestion.revealKeys()).toEqual([ingestion]);
  });
});

describe('keys apart', () => {
  const [own, other] = [generateKey(), generateKey()];

  it.each(['FERNET_KEY', 'INGESTION_FERNET_KEY', 'DEAD_LETTER_FERNET_KEY'])(
    'a publisher’s key that is also one of %s stops the start, positions named and no key shown',
    (name) => {
      const shared = other.replace(/=$/, '');
      const { problems, message } = errorOf(
        { FERNET_KEY: KEY, [name]: `${generateKey()},${other}`, PUBLISHER_FERNET_KEY: `${own},${shared}` },
        ['keys'],
      );
      expect(problems.map((problem) => problem.name)).toEqual(['PUBLISHER_FERNET_KEY']);
      expect(message).toContain(`key 2 is also key 2 of ${name}`);
      expect(message).not.toContain(shared);
    },
  );

  it('any other that two settings share is warned of', () => {
    const { warnings } = load({ INGESTION_FERNET_KEY: `${own},${KEY}`, DEAD_LETTER_FERNET_KEY: own });
    expect(warnings.map((text) => text.slice(0, text.indexOf(': who has')))).toEqual([
      'INGESTION_FERNET_KEY: key 2 is also key 1 of FERNET_KEY',
      'INGESTION_FERNET_KEY: key 1 is also key 1 of DEAD_LETTER_FERNET_KEY',
    ]);
  });
});

describe('what a command needs', () => {
  it('is asked for, and nothing else', () => {
    expect(loadConfig({}, { need: [] }).keys).toBeNull();
    expect(loadConfig({ KAFKA_BROKERS: 'a:1' }, { need: ['kafka'] }).kafka.brokers).toEqual(['a:1']);
    expect(loadConfig({ FERNET_KEY: KEY }, { need: ['keys'] }).kafka).toBeNull();
    expect(errorOf({}, ['keys']).problems.map(({ name }) => name)).toEqual(['FERNET_KEY']);
    expect(errorOf({}).problems.map(({ name }) => name)).toEqual(['FERNET_KEY', 'KAFKA_BROKERS']);
  });
});

describe('wrong values', () => {
  it('are many', () => expect(WRONG.length).toBeGreaterThanOrEqual(40));

  it.each(WRONG)('%s=%s', (name, text, expected, others = {}) => {
    const error = errorOf({ ...MINIMUM, ...others, [name]: text });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.problems).toHaveLength(1);
    expect(error.problems[0]?.name).toBe(name);
    expect(error.problems[0]?.message).toMatch(expected);
    expect(error.message).toContain(`  ${name}: `);
    for (const shown of [error.message, inspect(error, { depth: 9 }), JSON.stringify(error)]) {
      for (const secret of [CANARY, KEY, ...(isSecret(name) && text.length > 12 ? [text] : [])]) {
        expect(shown).not.toContain(secret);
      }
    }
  });

  const isSecret = (name: string): boolean =>
    Object.entries<Setting<unknown>>(SETTINGS).some(([each, { secret }]) => each === name && secret === true);

  it('are all listed at once, each by its name, in the order of the documentation', () => {
    const error = errorOf({
      LOG_LEVEL: 'x',
      TOPIC_SECURED: 'connection.created',
      FERNET_KEY: 'y',
      CLAIM_MS: '1000',
    });
    expect(error.problems.map(({ name }) => name).sort()).toEqual(
      ['CLAIM_MS', 'FERNET_KEY', 'KAFKA_BROKERS', 'LOG_LEVEL', 'TOPIC_SECURED'].sort(),
    );
    expect(error.message).toContain('5 mistakes');
  });

  it.each(['KAFKAJS_DEBUG_PROTOCOL_BUFFERS', 'KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS'])(
    '%s stops the start',
    (name) => {
      expect(errorOf({ ...MINIMUM, [name]: '1' }).code).toBe('UNSAFE_DEBUG_FLAG');
      expect(errorOf({ [name]: '1' }).problems.map((problem) => problem.name)).toContain('FERNET_KEY');
      expect(() => load({ [name]: '' })).not.toThrow();
    },
  );
});

describe('warnings', () => {
  it('name variables that are nearly settings, never their texts', () => {
    const { warnings } = load({
      FERNET_KEYS: CANARY,
      KAFKA_BROKER: 'x',
      SECRETS_MANAGER: 'y',
      DATABASE_URI: CANARY,
    });
    expect(warnings).toHaveLength(4);
    expect(warnings.join('\n')).toContain('FERNET_KEYS is not a setting; is FERNET_KEY meant?');
    expect(warnings.join('\n')).not.toContain(CANARY);
  });

  it('leave others’ variables alone', () => {
    const others = [
      'PATH',
      'HOME',
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'NO_PROXY',
      'KAFKA_PORT',
      'KAFKA_SERVICE_HOST',
      'AWS_PROFILE',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_ACCESS_KEY_ID',
      'AWS_SESSION_TOKEN',
      'LOGNAME',
      'HOSTNAME',
      'TOPIC',
    ];
    expect(load(Object.fromEntries(others.map((name) => [name, 'x']))).warnings).toEqual([]);
  });

  it('tell of passwords and values that travel unencrypted', () => {
    expect(load({ AWS_ENDPOINT_URL: 'http://moto:5000' }).warnings).toHaveLength(1);
    expect(load({ AWS_ENDPOINT_URL: 'http://localhost:5000' }).warnings).toEqual([]);
    const sasl = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' };
    expect(load(sasl).warnings).toHaveLength(1);
  });
});

it('a configuration never prints its secrets', () => {
  const config = load({
    DATABASE_URL: `postgres://u:${CANARY}@h/d`,
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: CANARY,
    OM_SM_ACCESS_KEY_ID: 'id',
    OM_SM_ACCESS_KEY: CANARY,
  });
  const oauth = load({ KAFKA_SASL_MECHANISM: 'oauthbearer', KAFKA_SASL_OAUTHBEARER_TOKEN: CANARY });
  for (const each of [config, oauth]) {
    for (const shown of [
      inspect(each, { depth: 12, showHidden: true }),
      JSON.stringify(each),
      JSON.stringify({ each }),
    ]) {
      expect(shown).not.toContain(CANARY);
      expect(shown).not.toContain(KEY);
    }
  }
});
