import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/terms.js';
import { SecretValue } from '../../../src/secret-value.js';
import { InMemoryStore } from '../../../src/secrets-managers/in-memory/store.js';
import { sealedFor, tmpDir } from '../../harness/index.js';
import { CONNECTION, deletion, eventRecord, MASKED, OTHER, PASSWORD_ID } from '../pipeline/events.js';
import { configOf, referencesOf } from '../pipeline/sent-event.js';
import { Bench, BENCH_PUBLISHER_KEY } from './fixture.js';

const idOf = (...keys: string[]): string => PASSWORD_ID.replace('/password', `/${keys.join('/')}`);
const config = (bench: Bench, id = CONNECTION): Record<string, unknown> => configOf(bench.sent(id));
const byName = { connectionOptions: { api_key: 'MARK-key', sslmode: 'require' } };

/** A member of `connectionOptions` as the publisher seals it. */
const sealed = (member: string, value: string): string =>
  sealedFor(BENCH_PUBLISHER_KEY, CONNECTION, value, `/connection/config/connectionOptions/${member}`);

function placeUnowned(bench: Bench, secretId: string, text: string): void {
  const { store } = bench.worker.manager;
  if (!(store instanceof InMemoryStore)) throw new Error('not in memory');
  store.placeUnowned(secretId, new SecretValue(text));
}

describe('SECRET_BY_NAME', () => {
  it('externalise (default): kept like a declared field', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ config: byName }));
    const secretId = idOf('connectionoptions', 'api_key');
    expect(config(bench)['connectionOptions']).toEqual({
      api_key: `secret:${secretId}`,
      sslmode: 'require',
    });
    expect(await bench.valueOf(secretId)).toBe('MARK-key');
    await bench.expectNowhereElse('MARK-');
  });

  it('report: left as it is and counted; declared fields are kept all the same', async () => {
    const bench = await Bench.open({ SECRET_BY_NAME: 'report' });
    await bench.handle(eventRecord({ config: byName, password: 'MARK-declared' }));
    expect(config(bench)).toMatchObject({ ...byName, password: `secret:${PASSWORD_ID}` });
    expect(bench.last).toMatchObject({
      outcome: 'applied',
      reported: ['/connection/config/connectionOptions/api_key'],
      secretFields: 1,
    });
    expect(bench.puts.map(({ secretId }) => secretId)).toEqual([PASSWORD_ID]);
    await bench.expectNowhereElse('MARK-declared');
  });

  it('report: what the publisher sealed is no guess any more, and is kept like a declared field', async () => {
    const bench = await Bench.open({ SECRET_BY_NAME: 'report' });
    const options = (more: Record<string, Json>) => ({ connectionOptions: { sslmode: 'require', ...more } });
    const given = { api_key: sealed('api_key', 'MARK-key'), url: sealed('url', 'ftp://u:MARK-url@h') };
    await bench.handle(eventRecord({ at: 1, config: options({ ...given, plain_token: 'left' }) }));
    const references = {
      api_key: `secret:${idOf('connectionoptions', 'api_key')}`,
      url: `secret:${idOf('connectionoptions', 'url')}`,
    };
    expect(config(bench)).toMatchObject(options({ ...references, plain_token: 'left' }));
    expect(bench.last?.reported).toEqual(['/connection/config/connectionOptions/plain_token']);
    expect(await bench.valueOf(idOf('connectionoptions', 'api_key'))).toBe('MARK-key');
    // Masks and references are the stored ones' from now on; elsewhere they are left as they are.
    const masked = { api_key: MASKED, url: references.url, plain_token: MASKED };
    await bench.handle(eventRecord({ at: 2, config: options(masked) }));
    expect(config(bench)).toMatchObject(options({ ...references, plain_token: MASKED }));
    await bench.handle(eventRecord({ at: 3, config: options({ url: '' }) }));
    expect(config(bench)).toMatchObject(options({ url: '' }));
    expect(Object.values(await bench.stored())).toEqual(['retired', 'retired']);
    await bench.handle(eventRecord({ at: 4, config: options({ api_key: 'fernet:gAAAAABk' }) }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'TOKEN_NOT_OPENED' });
    await bench.expectNowhereElse('MARK-');
  });

  it('report: a mask that overtakes what the publisher sealed does not lose it', async () => {
    const bench = await Bench.open({ SECRET_BY_NAME: 'report' });
    const options = (more: Record<string, Json>) => ({ connectionOptions: { sslmode: 'require', ...more } });
    await bench.handle(eventRecord({ at: 3, config: options({ api_key: MASKED }) }));
    expect(config(bench)).toMatchObject(options({ api_key: MASKED }));
    const older = { api_key: sealed('api_key', 'MARK-older'), gone_token: sealed('gone_token', 'MARK-gone') };
    await bench.handle(eventRecord({ at: 2, config: options(older) }));
    const reference = `secret:${idOf('connectionoptions', 'api_key')}`;
    expect(bench.last?.outcome).toBe('applied');
    expect(config(bench)['connectionOptions']).toEqual({ sslmode: 'require', api_key: reference });
    // The oldest one comes last, and sets nothing any more.
    await bench.handle(
      eventRecord({ at: 1, config: options({ api_key: sealed('api_key', 'MARK-oldest') }) }),
    );
    expect(bench.last?.outcome).toBe('stale');
    expect(await bench.valueOf(idOf('connectionoptions', 'api_key'))).toBe('MARK-older');
    await bench.expectNowhereElse('MARK-');
  });

  it('report: a mask stays behind the dead letter that was to set what it stands for', async () => {
    const bench = await Bench.open({ SECRET_BY_NAME: 'report' });
    const given = { connectionOptions: { api_key: sealed('api_key', 'MARK-key') } };
    await bench.handle(eventRecord({ at: 1, config: given, password: 'null' }));
    expect(bench.last?.outcome).toBe('refused');
    const masked = { connectionOptions: { api_key: MASKED } };
    await bench.handle(eventRecord({ at: 2, config: masked, password: 'MARK-declared' }));
    expect(bench.last).toMatchObject({ outcome: 'blocked', code: 'EVENT_BLOCKED' });
    await bench.expectNowhereElse('MARK-');
  });

  it('report, after it was externalise: a mask keeps the secret that it stands for', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ at: 1, config: byName }));
    const before = config(bench)['connectionOptions'];
    // The in-memory store does not outlive its process.
    await bench.restart({ SECRET_BY_NAME: 'report' });
    const masked = { connectionOptions: { api_key: MASKED, sslmode: 'require' } };
    await bench.handle(eventRecord({ at: 2, config: masked }));
    expect(config(bench)['connectionOptions']).toEqual(before);
    expect(await bench.stored()).toEqual({ [idOf('connectionoptions', 'api_key')]: 'live' });
    // Its text in the clear is what the setting leaves as it is.
    await bench.handle(eventRecord({ at: 3, config: byName }));
    expect(config(bench)).toMatchObject(byName);
  });

  it('refuse: the event, naming the key', async () => {
    const bench = await Bench.open({ SECRET_BY_NAME: 'refuse' });
    await bench.handle(eventRecord({ config: byName, password: 'MARK-declared' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_BY_NAME_REFUSED' });
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain('/connection/config/connectionOptions/api_key');
    expect(bench.puts).toEqual([]);
    await bench.expectNowhereElse('MARK-');
  });
});

describe('UNKNOWN_CONNECTOR', () => {
  const event = () =>
    eventRecord({ serviceType: 'OurOwnDb', config: { nested: { adminPassword: 'MARK-a' }, host: 'h' } });

  it('heuristic (default): judged by names', async () => {
    const bench = await Bench.open();
    await bench.handle(event());
    const secretId = idOf('nested', 'adminpassword');
    expect(config(bench)).toMatchObject({ nested: { adminPassword: `secret:${secretId}` }, host: 'h' });
    await bench.expectNowhereElse('MARK-');
  });

  it('refuse: the event', async () => {
    const bench = await Bench.open({ UNKNOWN_CONNECTOR: 'refuse' });
    await bench.handle(event());
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'CONNECTOR_UNKNOWN' });
    await bench.handle(eventRecord({ id: OTHER, name: 'known', password: 'MARK-b' }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
  });
});

describe('SECRET_PATHS_EXTRA and SECRET_PATHS_EXCLUDED', () => {
  it.each(['Mysql', 'database/mysql', '*'])('a further field of %s', async (scope) => {
    const bench = await Bench.open({ SECRET_PATHS_EXTRA: `${scope}:hostPort,${scope}:rules[].expression` });
    const fields = { hostPort: 'MARK-host', rules: [{ expression: 'MARK-0' }, { expression: 'MARK-1' }] };
    await bench.handle(eventRecord({ config: fields }));
    expect(new Set(Object.values(referencesOf(bench.sent(CONNECTION))))).toEqual(
      new Set([
        `secret:${idOf('hostport')}`,
        `secret:${idOf('rules', '0', 'expression')}`,
        `secret:${idOf('rules', '1', 'expression')}`,
      ]),
    );
    await bench.expectNowhereElse('MARK-');
  });

  it('of one connector are not of another', async () => {
    const bench = await Bench.open({ SECRET_PATHS_EXTRA: 'Postgres:hostPort' });
    await bench.handle(eventRecord({ config: { hostPort: 'plain' } }));
    expect(config(bench)).toMatchObject({ hostPort: 'plain' });
  });

  it.each(['Mysql', 'database/mysql', '*'])(
    'an excluded field of %s stays, whatever it is called',
    async (scope) => {
      const bench = await Bench.open({
        SECRET_PATHS_EXCLUDED: `${scope}:connectionOptions.tokenStyle,${scope}:sslConfig`,
      });
      const fields = {
        connectionOptions: { tokenStyle: 'short', token: 'MARK-t' },
        sslConfig: { sslKey: 'k' },
      };
      await bench.handle(eventRecord({ config: fields }));
      expect(config(bench)).toMatchObject({
        connectionOptions: { tokenStyle: 'short', token: `secret:${idOf('connectionoptions', 'token')}` },
        sslConfig: { sslKey: 'k' },
      });
    },
  );

  it.each(['user', 'ingestionPipeline', 'workflow'])('a scope can be the entity %s', async (scope) => {
    await expect(Bench.open({ SECRET_PATHS_EXTRA: `${scope}:a.b` })).resolves.toBeDefined();
  });
});

it('CATALOG_FILE: a catalogue of one’s own in place of the shipped one', async () => {
  const file = join(tmpDir('catalogue'), 'ours.json');
  const provenance = { source: 'ours', licence: 'internal', versions: ['7'] };
  const connectors = { 'database/ours': ['auth.pinCode', 'nodes[].certificate', 'options.*.mark'] };
  writeFileSync(file, JSON.stringify({ format: 1, provenance, connectors, entities: {} }));
  const bench = await Bench.open({ CATALOG_FILE: file, SECRET_BY_NAME: 'report' });
  const fields = {
    auth: { pinCode: 'MARK-1', plain: 'x' },
    nodes: [{ certificate: 'MARK-2' }],
    options: { any: { mark: 'MARK-3' } },
  };
  await bench.handle(eventRecord({ serviceType: 'Ours', config: fields }));
  expect(Object.keys(referencesOf(bench.sent(CONNECTION))).sort()).toEqual([
    '/connection/config/auth/pinCode',
    '/connection/config/nodes/0/certificate',
    '/connection/config/options/any/mark',
  ]);
  await bench.expectNowhereElse('MARK-');
});

describe('SECRET_ADOPT', () => {
  it('false (default): a secret without our tag is not overwritten', async () => {
    const bench = await Bench.open();
    placeUnowned(bench, PASSWORD_ID, 'theirs');
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    expect(await bench.valueOf(PASSWORD_ID)).toBe('theirs');
    expect(bench.sent(CONNECTION)).toBeUndefined();
  });

  it('true: taken over, by a value or by the reference that OpenMetadata has put there', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    placeUnowned(bench, PASSWORD_ID, 'theirs');
    await bench.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 1 }));
    expect(bench.sent(CONNECTION)?.secretFields).toMatchObject([{ owned: true }]);
    await bench.handle(eventRecord({ password: MASKED, at: 2 }));
    expect(await bench.valueOf(PASSWORD_ID)).toBe('theirs');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 3 }));
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it('true: what was taken over by a reference has no tag of ours, so it outlives the connection', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    placeUnowned(bench, PASSWORD_ID, 'theirs');
    await bench.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    expect(await bench.tidy()).toMatchObject({ deleted: 0 });
    expect(await bench.valueOf(PASSWORD_ID)).toBe('theirs');
    expect(await bench.actions()).toEqual(['adopt', 'retire', 'forget']);
  });

  it('true: renamed, it is copied, and the copy is ours', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    placeUnowned(bench, PASSWORD_ID, 'theirs');
    await bench.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 1 }));
    await bench.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    const renamedId = PASSWORD_ID.replace('mysql-test', 'renamed');
    expect(await bench.valueOf(renamedId)).toBe('theirs');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired', [renamedId]: 'live' });
    expect(await bench.actions()).toEqual(['adopt', 'create', 'retire']);
  });
});

it('ALLOWED_REFERENCE_PREFIXES: nothing else is accepted', async () => {
  const bench = await Bench.open({ ALLOWED_REFERENCE_PREFIXES: '/shared/,/team-a/' });
  const outcomes = [];
  const references = ['/shared/x', '/team-a/x', '/team-b/x', '/sharedx', '/shared/../team-b/x', PASSWORD_ID];
  for (const [at, secretId] of references.entries()) {
    await bench.handle(eventRecord({ password: `secret:${secretId}`, at: at + 1 }));
    outcomes.push(bench.last?.code ?? bench.last?.outcome);
  }
  expect(outcomes).toEqual([
    'applied',
    'applied',
    'REFERENCE_NOT_ALLOWED',
    'REFERENCE_NOT_ALLOWED',
    'REFERENCE_NOT_ALLOWED',
    'REFERENCE_FOREIGN',
  ]);
});

describe('SECRET_ID_STYLE=strict', () => {
  it('keeps apart what OpenMetadata’s style writes alike', async () => {
    const bench = await Bench.open({ SECRET_ID_STYLE: 'strict' });
    const options = { 'api key': 'MARK-1', 'api.key': 'MARK-2', API_KEY: 'MARK-3' };
    await bench.handle(eventRecord({ name: 'My Svc', config: { connectionOptions: options } }));
    await bench.handle(eventRecord({ id: OTHER, name: 'my_svc', password: 'MARK-4' }));
    await bench.handle(eventRecord({ name: 'My Svc', password: 'MARK-5', at: 2 }));
    expect(bench.handled.map(({ outcome }) => outcome)).toEqual(['applied', 'applied', 'applied']);
    expect(new Set(bench.puts.map(({ secretId }) => secretId.toLowerCase())).size).toBe(5);
    expect(
      bench.puts.every(({ secretId }) => /^\/openmetadata\/database\/[a-z0-9/_-]+$/.test(secretId)),
    ).toBe(true);
    await bench.handle(eventRecord({ name: 'My Svc', password: MASKED, at: 3 }));
    await bench.handle(eventRecord({ name: 'Your Svc', password: MASKED, at: 4 }));
    expect(await bench.valueOf(bench.puts.at(-1)?.secretId ?? '')).toBe('MARK-5');
    await bench.expectNowhereElse('MARK-');
  });
});

it('SECRET_MANAGER_PREFIX and OPENMETADATA_CLUSTER_NAME begin every id, and bound what is foreign', async () => {
  const bench = await Bench.open({ SECRET_MANAGER_PREFIX: 'Team', OPENMETADATA_CLUSTER_NAME: 'prod' });
  await bench.handle(eventRecord({ password: 'MARK-a' }));
  expect(bench.puts).toMatchObject([{ secretId: '/team/prod/database/mysql-test/password' }]);
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'secret:/team/prod/database/x/y' }));
  expect(bench.last).toMatchObject({ code: 'REFERENCE_FOREIGN' });
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: `secret:${PASSWORD_ID}`, at: 2 }));
  expect(bench.last).toMatchObject({ outcome: 'applied' });
});
