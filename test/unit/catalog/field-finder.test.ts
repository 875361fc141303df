import { describe, expect, it } from 'vitest';

import type { FindTarget, FoundField } from '../../../src/catalog/index.js';
import { EventError } from '../../../src/errors.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import { bot, filled, finderOf, partOf, pipeline, readHistory, service, workflow } from './support.js';
import type { ServiceKind } from '../../../src/terms.js';

const finder = finderOf();
const history = readHistory();

const fieldsOf = (target: FindTarget, from = finder): readonly FoundField[] => from.find(target).fields;
const idsOf = (target: FindTarget, from = finder): string[] =>
  fieldsOf(target, from)
    .map((field) => field.idPath.join('/'))
    .sort();
const mysql = (config: Json): FindTarget => service('database', 'Mysql', config);

function errorOf(action: () => unknown): EventError {
  try {
    action();
  } catch (error) {
    if (error instanceof EventError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('declared fields', () => {
  it('finds the documented example', () => {
    const target = mysql({ type: 'Mysql', username: 'u', password: 's3cr3t-pa55', hostPort: 'mysql:3306' });
    expect(finder.find(target)).toEqual({
      fields: [
        {
          pointer: '/connection/config/password',
          path: ['connection', 'config', 'password'],
          keyPath: ['connection', 'config', 'password'],
          idPath: ['password'],
          value: 's3cr3t-pa55',
          because: 'declared',
          onlyIfStored: false,
          positional: null,
        },
      ],
      reported: [],
    });
  });

  it.each(history.versions)(
    'finds each declared field of each connector of %s, and nothing else',
    (version) => {
      for (const [connector, paths] of Object.entries(partOf(history.connectors, version))) {
        const [kind = '', name = ''] = connector.split('/');
        const config = filled(paths, (path) => `marker of ${path}`);
        const found = fieldsOf(service(kind as ServiceKind, name.toUpperCase(), config));
        expect(found.map((field) => field.value).sort(), connector).toEqual(
          paths.map((path) => `marker of ${path}`).sort(),
        );
        expect(new Set(found.map((field) => field.because)), connector).toEqual(
          new Set(paths.length > 0 ? ['declared'] : []),
        );
      }
    },
  );

  it.each(history.versions)('finds each declared field of each entity of %s, and nothing else', (version) => {
    const wrap: Record<string, (part: JsonObject) => FindTarget[]> = {
      user: (part) => [{ ...bot(null), entity: { name: 'b', ...part } }],
      ingestionPipeline: (part) => [pipeline(part)],
      workflow: (part) => [workflow(part)],
      dbtPipeline: (part) => [pipeline({ sourceConfig: { config: part } })],
      openMetadataServerConnection: (part) => [
        pipeline({ openMetadataServerConnection: part }),
        workflow({ openMetadataServerConnection: part }),
      ],
    };
    for (const [name, paths] of Object.entries(partOf(history.entities, version))) {
      for (const target of wrap[name]?.(filled(paths, (path) => `marker of ${path}`)) ?? []) {
        const values = fieldsOf(target).map((field) => field.value);
        expect(values.sort(), name).toEqual(paths.map((path) => `marker of ${path}`).sort());
      }
    }
  });

  it('takes a connector of another kind if its own kind has none of that name', () => {
    expect(idsOf(service('storage', 'Mysql', { sslConfig: { sslCertificate: 'c' } }))).toEqual([
      'sslConfig/sslCertificate',
    ]);
  });

  it('takes a service without serviceType by its connection’s type', () => {
    const target = { ...mysql({ type: 'Mysql', sslConfig: { caCertificate: 'c' } }), serviceType: null };
    expect(idsOf(target)).toEqual(['sslConfig/caCertificate']);
  });

  it('adds what a nested service connection declares by its own type', () => {
    const tls = { sslConfig: { sslCertificate: 'cert' } };
    expect(idsOf(service('pipeline', 'Airflow', { connection: { type: 'Mysql', ...tls } }))).toEqual([
      'connection/sslConfig/sslCertificate',
    ]);
    expect(
      idsOf(
        service('database', 'Hive', { metastoreConnection: { type: 'Kafka', basicAuthUserInfo: 'a:b' } }),
      ),
    ).toEqual(['metastoreConnection/basicAuthUserInfo']);
    expect(
      idsOf(
        pipeline({
          sourceConfig: {
            config: {
              serviceConnections: [
                {
                  serviceName: 'a',
                  serviceConnection: { config: { type: 'Bedrock', awsAccessKeyId: 'AKIA' } },
                },
              ],
            },
          },
        }),
      ),
    ).toEqual(['sourceConfig/config/serviceConnections/0/serviceConnection/config/awsAccessKeyId']);
    expect(
      idsOf(workflow({ request: { connection: { config: { type: 'Bedrock', awsAccessKeyId: 'AKIA' } } } })),
    ).toEqual(['request/connection/config/awsAccessKeyId']);
  });

  it('finds a declared path with an array that the schema does not have, and without one that it has', () => {
    expect(idsOf(mysql([{ authType: [{ password: 'a' }] }]))).toHaveLength(1);
    expect(idsOf(service('mcp', 'Mcp', { servers: { apiKey: 'a' } }))).toEqual(['servers/apiKey']);
  });

  it('keeps null and the empty text as they are', () => {
    expect(
      fieldsOf(mysql({ password: null, authType: { password: '' } })).map((field) => field.value),
    ).toEqual([null, '']);
  });

  it.each([
    ['a number', 4711, 'number'],
    ['a boolean', true, 'boolean'],
    ['an object', { a: 'hunter2' }, 'object'],
    ['a list of objects', [{ a: 'hunter2' }], 'object'],
  ])('refuses %s under a declared path, without its value', (_what, password, type) => {
    const error = errorOf(() => fieldsOf(mysql({ password })));
    expect(error.code).toBe('FIELD_NOT_A_STRING');
    expect(error.field).toMatch(/^\/connection\/config\/password/);
    expect(error.message).toContain(type);
    expect(error.message).not.toMatch(/4711|hunter2/);
  });

  it('looks into an object where another version of the schema has a string', () => {
    // vertexAI of kind llm declares `credentials` as a string, vertexai of kind mlmodel an object with a private key.
    expect(
      idsOf(service('database', 'VertexAI', { credentials: { gcpConfig: { privateKey: 'k' } } })),
    ).toEqual(['credentials/gcpConfig/privateKey']);
  });
});

describe('bots, pipelines and workflows', () => {
  it('begins a bot’s ids below authenticationMechanism', () => {
    expect(idsOf(bot({ authType: 'JWT', config: { JWTToken: 'eyJ', JWTTokenExpiry: 'Unlimited' } }))).toEqual(
      ['config/JWTToken'],
    );
    expect(idsOf(bot({ authType: 'BASIC', config: { password: 'hash' } }))).toEqual(['config/password']);
    expect(
      idsOf(bot({ authType: 'SSO', config: { authConfig: { sp: { spX509Certificate: 'c' } } } })),
    ).toEqual(['config/authConfig/sp/spX509Certificate']);
  });

  it('finds application configurations and storage of workflows', () => {
    expect(
      idsOf(
        pipeline({
          sourceConfig: { config: { appConfig: { botToken: 'a' }, appPrivateConfig: { token: 'b' } } },
        }),
      ),
    ).toEqual(['sourceConfig/config/appConfig/botToken', 'sourceConfig/config/appPrivateConfig/token']);
    expect(
      idsOf(workflow({ request: { storageConfig: { storageConfig: { awsSecretAccessKey: 'a' } } } })),
    ).toEqual(['request/storageConfig/storageConfig/awsSecretAccessKey']);
  });
});

describe('by name', () => {
  it('looks into free-form maps, headers, undeclared keys and unknown connectors', () => {
    const config = {
      connectionOptions: { 'sasl.jaas.config': 'x required', plain: 'p' },
      extraHeaders: { Authorization: 'abc', 'X-Api-Key': 'def', Accept: 'json' },
      connectionArguments: { client_secret: 'ghi', deep: [{ more: { access_token: 'jkl' } }] },
      proxies: { https: 'https://user:hidden@proxy:3128', http: 'http://proxy:3128' },
      tokens: ['one', 'two'],
      token: { value: 'mno', expiry: 'never' },
    };
    const expected = [
      'connectionArguments/client_secret',
      'connectionArguments/deep/0/more/access_token',
      'connectionOptions/sasl.jaas.config',
      'extraHeaders/Authorization',
      'extraHeaders/X-Api-Key',
      'proxies/https',
      'token/value',
      'tokens/0',
      'tokens/1',
    ];
    expect(idsOf(mysql(config))).toEqual(expected);
    expect(idsOf(service('database', 'NobodyKnows', config))).toEqual(expected);
  });

  it('takes the value beside a label that names a secret', () => {
    const target = service('api', 'Rest', {
      headers: [
        { name: 'Authorization', value: 'abc' },
        { name: 'Accept', value: 'json' },
      ],
      env: [
        { key: 'API_TOKEN', value: 'def' },
        { key: 'LANG', value: 'C' },
        { key: 'OTHER', value: 'ghi', secret: true },
      ],
    });
    expect(idsOf(target)).toEqual(['env/0/value', 'env/2/value', 'headers/authorization/value']);
  });

  it('takes the word after a secret flag of a command line', () => {
    const target = service('mcp', 'Mcp', {
      servers: [{ name: 'a', args: ['--api-key', 'abc', '--port', '80', '--token=def'] }],
    });
    expect(idsOf(target)).toEqual(['servers/a/args/1', 'servers/a/args/4']);
  });

  it('finds secrets outside of the connection, under their path from the entity', () => {
    const target = mysql({ type: 'Mysql' });
    const entity: JsonObject = {
      ...target.entity,
      extension: { vaultToken: 'abc' },
      testConnectionResult: { steps: [{ name: 'Connect', message: 'postgres://u:hidden@h refused' }] },
      connection: { config: { type: 'Mysql' }, password: 'def' },
    };
    expect(idsOf({ ...target, entity })).toEqual([
      'connection/password',
      'extension/vaultToken',
      'testConnectionResult/steps/connect/message',
    ]);
  });

  it('leaves the usual members of an entity alone', () => {
    const entity: JsonObject = {
      id: '1',
      name: 'secret:/x',
      fullyQualifiedName: 'a.token',
      serviceType: 'Mysql',
      displayName: 'The password service',
      description: 'Ask https://wiki.internal:8443/token?for=me about the **password**; a@b.c knows.',
      version: 0.4,
      updatedAt: 1_790_000_000_000,
      updatedBy: 'admin',
      href: 'http://server.internal:8585/api/v1/services/databaseServices/1',
      owners: [
        { id: '2', type: 'user', name: 'token', fullyQualifiedName: 'token', href: 'http://s:8585/users/2' },
      ],
      tags: [{ tagFQN: 'PII.Secret', labelType: 'Manual', source: 'Classification' }],
      domain: { id: '3', type: 'domain' },
      deleted: false,
      testConnectionResult: {
        status: 'Successful',
        steps: [{ name: 'GetToken', mandatory: true, passed: true }],
      },
      connection: {
        config: { type: 'Mysql', hostPort: 'h:3306', supportsUsageExtraction: true, maxTokens: 5 },
      },
      ingestionRunner: { id: '4', type: 'ingestionRunner' },
    };
    for (const byName of ['externalise', 'refuse', 'report'] as const) {
      expect(finderOf({ byName }).find({ ...mysql({}), entity })).toEqual({ fields: [], reported: [] });
    }
  });

  it('counts masks, references and sealed texts as fields, whatever their key', () => {
    const target = mysql({
      proxies: { a: '*********', b: 'secret:/x/y', c: 'fernet:gAAAA' },
      accessToken: '*********',
    });
    expect(fieldsOf(target).map((field) => [field.idPath.at(-1), field.because])).toEqual([
      ['accessToken', 'name'],
      ['a', 'reference'],
      ['b', 'reference'],
      ['c', 'reference'],
    ]);
  });

  it('leaves booleans and switches, refuses a number that is a password', () => {
    expect(idsOf(mysql({ usePassword: true, savePassword: 'false', tokens: 4096, cookies: 3 }))).toEqual([]);
    expect(idsOf(mysql({ password: 'true', sslPassword: 'no' }))).toEqual(['password', 'sslPassword']);
    expect(errorOf(() => fieldsOf(mysql({ token: 4711 }))).code).toBe('FIELD_NOT_A_STRING');
    expect(
      idsOf(
        mysql({
          env: [
            { Key: 'DB_PASSWORD', Value: 'x' },
            { NAME: 'token', VALUE: 'y' },
          ],
        }),
      ),
    ).toEqual(['env/0/Value', 'env/1/VALUE']);
    expect(errorOf(() => fieldsOf(mysql({ env: [{ name: 'DB_PASSWORD', value: 4711 }] }))).code).toBe(
      'FIELD_NOT_A_STRING',
    );
    const error = errorOf(() => fieldsOf(mysql({ connectionOptions: { password: 4711 } })));
    expect([error.code, error.field]).toEqual([
      'FIELD_NOT_A_STRING',
      '/connection/config/connectionOptions/password',
    ]);
    expect(error.message).not.toContain('4711');
  });

  it('refuses a key that is a secret itself, and does not repeat it in the error', () => {
    const error = errorOf(() => fieldsOf(mysql({ connectionOptions: { 'https://user:hunter2@host': 'x' } })));
    expect([error.code, error.field]).toEqual(['EVENT_INVALID', '/connection/config/connectionOptions']);
    expect(error.message).not.toContain('hunter2');
  });

  it('reports or refuses, as configured', () => {
    const target = mysql({
      password: 'declared',
      connectionOptions: { token: 'a', url: 'ftp://u:p@h', empty_token: '' },
    });
    const { fields, reported } = finderOf({ byName: 'report' }).find(target);
    expect(fields.map((field) => field.pointer)).toEqual(['/connection/config/password']);
    expect(reported).toEqual([
      '/connection/config/connectionOptions/token',
      '/connection/config/connectionOptions/url',
    ]);
    const error = errorOf(() => finderOf({ byName: 'refuse' }).find(target));
    expect([error.code, error.field]).toEqual([
      'SECRET_BY_NAME_REFUSED',
      '/connection/config/connectionOptions/token',
    ]);
    expect(finderOf({ byName: 'refuse' }).find(mysql({ password: 'declared' })).fields).toHaveLength(1);
  });

  it('does not report stand-ins: a sealed text is a secret field, a mask or reference is one if a secret is stored', () => {
    const stored = { token: '*********', api_key: 'secret:/a', note: 'secrets:/b' };
    const target = mysql({
      connectionOptions: { ...stored, url: 'fernet:gAAAAABk', client_secret: 'fernet: no' },
    });
    const { fields, reported } = finderOf({ byName: 'report' }).find(target);
    const found = fields.map(({ keyPath, onlyIfStored }) => [keyPath.at(-1), onlyIfStored]);
    expect(Object.fromEntries(found)).toEqual({ token: true, api_key: true, note: true, url: false });
    expect(reported).toEqual(['/connection/config/connectionOptions/client_secret']);
    expect(
      finderOf()
        .find(target)
        .fields.every(({ onlyIfStored }) => !onlyIfStored),
    ).toBe(true);
  });
});

describe('options', () => {
  it('refuses unknown connectors at every root if it is told to', () => {
    const strict = finderOf({ unknownConnector: 'refuse' });
    const error = errorOf(() => strict.find(service('database', 'NobodyKnows', {})));
    expect([error.code, error.field]).toEqual(['CONNECTOR_UNKNOWN', '/connection/config']);
    // Its name is a text of the event, and could be anything.
    expect(error.message).not.toContain('NobodyKnows');
    const nested = { config: { type: 'NobodyKnows' } };
    expect(errorOf(() => strict.find(workflow({ request: { connection: nested } }))).code).toBe(
      'CONNECTOR_UNKNOWN',
    );
    const list = { sourceConfig: { config: { serviceConnections: [{ serviceConnection: nested }] } } };
    expect(errorOf(() => strict.find(pipeline(list))).code).toBe('CONNECTOR_UNKNOWN');
    expect(strict.find(mysql({ password: 'p' })).fields).toHaveLength(1);
    expect(
      strict.find({ ...mysql({ type: 'Mysql', password: 'p' }), serviceType: null }).fields,
    ).toHaveLength(1);
    expect(strict.find({ ...service('database', 'NobodyKnows', null) }).fields).toEqual([]);
    expect(strict.find(bot({})).fields).toEqual([]);
  });

  it('adds and excludes paths by connector, for all connectors and by entity', () => {
    const own = finderOf({
      extraPaths: [
        'database/mysql:licence.serial',
        '*:shared\\.thing',
        'workflow:request.hint',
        'database/ours:a.*.b',
      ],
      excludedPaths: [
        'database/mysql:sslConfig',
        '*:connectionOptions.token',
        'user:authenticationMechanism.config.password',
      ],
    });
    const config = {
      licence: { serial: 'a' },
      'shared.thing': 'b',
      sslConfig: { caCertificate: 'c', deeper: { password: 'd' } },
      connectionOptions: { token: 'e', secret: 'f' },
    };
    expect(idsOf(mysql(config), own)).toEqual(['connectionOptions/secret', 'licence/serial', 'shared.thing']);
    expect(idsOf(service('search', 'NobodyKnows', config), own)).toEqual([
      'connectionOptions/secret',
      'shared.thing',
      'sslConfig/deeper/password',
    ]);
    expect(idsOf(workflow({ request: { hint: 'g' } }), own)).toEqual(['request/hint']);
    expect(idsOf(bot({ config: { password: 'h', JWTToken: 'i' } }), own)).toEqual(['config/JWTToken']);
    expect(idsOf(service('database', 'Ours', { a: { x: { b: 'j' }, y: { b: 'k' } } }), own)).toEqual([
      'a/x/b',
      'a/y/b',
    ]);
  });
});

describe('arrays', () => {
  const servers = (names: Json[]): FindTarget =>
    service('mcp', 'Mcp', { servers: names.map((name) => ({ name, apiKey: 'k' })) });

  it('identifies elements by their names if each has a name of its own', () => {
    const [first, second] = fieldsOf(servers(['Search Engine', 'files']));
    expect([first, second].map((field) => field?.idPath.join('/')).sort()).toEqual([
      'servers/files/apiKey',
      'servers/search_engine/apiKey',
    ]);
    const search = [first, second].find((field) => field?.path.includes(0));
    expect(search).toMatchObject({
      pointer: '/connection/config/servers/0/apiKey',
      path: ['connection', 'config', 'servers', 0, 'apiKey'],
      keyPath: ['connection', 'config', 'servers', 'search_engine', 'apiKey'],
      positional: null,
    });
  });

  it.each([
    ['two are equal once cleaned', ['a b', 'A_B']],
    ['one looks like a position', ['a', '1']],
    ['one is missing', ['a', null]],
    ['one is empty', ['a', '']],
    ['nothing is left of one', ['a', '//']],
    ['one is a secret', ['a', 'https://u:hunter2@h']],
    ['one is masked', ['a', '*********']],
  ])('keys them by position where %s', (_why, names) => {
    const keyed = fieldsOf(servers(names)).filter((field) => field.path.at(-1) === 'apiKey');
    expect(keyed.map((field) => field.idPath.join('/')).sort()).toEqual([
      'servers/0/apiKey',
      'servers/1/apiKey',
    ]);
    expect(keyed[0]?.positional).toEqual({ arrayPointers: ['/connection/config/servers'] });
  });

  it('never identifies elements by names that a schema declares secret', () => {
    const own = finderOf({ extraPaths: ['mcp/mcp:servers[].name'] });
    expect(idsOf(servers(['alpha', 'beta']), own)).toEqual([
      'servers/0/apiKey',
      'servers/0/name',
      'servers/1/apiKey',
      'servers/1/name',
    ]);
  });

  it('names each array on the way whose elements only their positions identify', () => {
    const target = mysql({ a: [{ name: 'x', b: [[{ token: 't' }]] }] });
    expect(fieldsOf(target)[0]).toMatchObject({
      keyPath: ['connection', 'config', 'a', 'x', 'b', '0', '0', 'token'],
      positional: { arrayPointers: ['/connection/config/a/0/b', '/connection/config/a/0/b/0'] },
    });
  });
});

describe('hostile entities', () => {
  it('takes prototype keys as keys', () => {
    const config = JSON.parse(
      '{"__proto__": {"token": "a"}, "constructor": {"prototype": {"password": "b"}}, "type": "__proto__", "toString": {"secret": "c"}}',
    ) as JsonObject;
    expect(idsOf({ ...mysql(config), serviceType: 'constructor' })).toEqual([
      '__proto__/token',
      'constructor/prototype/password',
      'toString/secret',
    ]);
    expect(({} as Record<string, unknown>)['token']).toBeUndefined();
  });

  it('escapes pointers', () => {
    expect(fieldsOf(mysql({ 'a/b~c': { token: 't' } }))[0]?.pointer).toBe('/connection/config/a~1b~0c/token');
  });

  it.each(['{"a":', '['])('refuses depth 10,000 of %s', (open) => {
    const close = open === '[' ? ']' : '}';
    const deep = JSON.parse(`${open.repeat(10_000)}"x"${close.repeat(10_000)}`) as Json;
    expect(errorOf(() => fieldsOf(mysql(deep))).code).toBe('EVENT_TOO_DEEP');
  });

  it('takes an array of 10,000 named elements, all with secrets, in linear time', () => {
    const started = performance.now();
    const target = service('mcp', 'Mcp', {
      servers: Array.from({ length: 10_000 }, (_, position) => ({ name: `s${position}`, apiKey: 'k' })),
    });
    expect(fieldsOf(target)).toHaveLength(10_000);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  it('refuses secret fields whose names would take gigabytes together, because all lie below one long key', () => {
    const below = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`p${at}password`, 's']));
    const target = mysql({ ['k'.repeat(1_000_000)]: below });
    expect(errorOf(() => fieldsOf(target)).code).toBe('EVENT_TOO_LARGE');
  });

  it('costs microseconds for a usual event', () => {
    const target = mysql({ type: 'Mysql', username: 'u', hostPort: 'h:3306', authType: { password: 'p' } });
    const times = 20_000;
    for (let warm = 0; warm < 2_000; warm += 1) finder.find(target);
    const started = performance.now();
    for (let run = 0; run < times; run += 1) finder.find(target);
    const microseconds = ((performance.now() - started) * 1000) / times;
    console.info(`find: ${microseconds.toFixed(1)} µs for a usual event`);
    expect(microseconds).toBeLessThan(500);
  });
});
