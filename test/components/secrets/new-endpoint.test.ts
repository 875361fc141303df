import { describe, expect, it } from 'vitest';
import type { NamedFields } from '../../../src/pipeline/notes.js';
import type { Json } from '../../../src/terms.js';
import { eventRecord, MASKED, PASSWORD_ID, PASSWORD_PATH, type EventSpec } from '../pipeline/events.js';
import { Bench } from './fixture.js';

type Config = Record<string, Json>;
const CONFIG = '/connection/config';

async function endpointRows(bench: Bench): Promise<(NamedFields & { actor: string | null })[]> {
  const rows = await bench.audit(`action = 'mask-on-new-endpoint'`);
  return rows.map((row) => ({
    actor: row.actor,
    ...(JSON.parse((row as unknown as { fields: string }).fields) as NamedFields),
  }));
}

/** A stored state, then another one by somebody who need not know the password. */
async function after(before: Config, now: Config, more: EventSpec = {}, env = {}): Promise<Bench> {
  const bench = await Bench.open(env);
  await bench.handle(eventRecord({ password: 'MARK-a', config: before, at: 1 }));
  await bench.handle(eventRecord({ password: MASKED, config: now, at: 2, actor: 'mallory', ...more }));
  return bench;
}

const at = (config: Config) => config;

const MOVES: [string, Config, Config, string][] = [
  ['host and port', at({ hostPort: 'db:3306' }), at({ hostPort: 'evil.example:3306' }), '/hostPort'],
  ['a port', at({ port: 1 }), at({ port: 2 }), '/port'],
  ['an endpoint that was not there', at({}), at({ hostPort: 'evil.example' }), '/hostPort'],
  ['one that is there no more', at({ hostPort: 'db' }), at({}), '/hostPort'],
  ['an account', at({ account: 'a' }), at({ account: 'b' }), '/account'],
  ['brokers', at({ bootstrapServers: 'a:1,b:1' }), at({ bootstrapServers: 'a:1,e:1' }), '/bootstrapServers'],
  ['one of a list', at({ hosts: ['a', 'b'] }), at({ hosts: ['a', 'evil'] }), '/hosts/1'],
  [
    'an AWS endpoint',
    at({ awsConfig: { endPointURL: 'https://a' } }),
    at({ awsConfig: { endPointURL: 'https://b' } }),
    '/awsConfig/endPointURL',
  ],
  ['a tenant', at({ tenantId: 'a' }), at({ tenantId: 'b' }), '/tenantId'],
  ['a scheme', at({ scheme: 'mysql+pymysql' }), at({ scheme: 'evil' }), '/scheme'],
  ['TLS', at({ sslMode: 'verify-full' }), at({ sslMode: 'disable' }), '/sslMode'],
  ['a proxy', at({}), at({ proxies: { https: 'evil' } }), '/proxies'],
  [
    'a driver’s option, whatever its name',
    at({ connectionOptions: { a: '1' } }),
    at({ connectionOptions: { a: '1', unix: 'evil' } }),
    '/connectionOptions/unix',
  ],
  ['an address under a new name', at({ hostPort: 'db' }), at({ hostPort: 'db', x: 'https://evil' }), '/x'],
  ['a host with a port under a new name', at({}), at({ x: { y: 'evil.example:3306' } }), '/x'],
  [
    'a nested connection',
    at({ connection: { type: 'Postgres', hostPort: 'a:1' } }),
    at({ connection: { type: 'Postgres', hostPort: 'b:1' } }),
    '/connection/hostPort',
  ],
  ['another spelling', at({ 'HOST-port': 'a' }), at({ 'HOST-port': 'b' }), '/HOST-port'],
];

describe('a masked secret on a new endpoint is audited, with who and which fields', () => {
  it.each(MOVES)('%s', async (_, before, now, pointer) => {
    const bench = await after(before, now);
    expect(bench.last).toMatchObject({ outcome: 'applied', notes: [{ action: 'mask-on-new-endpoint' }] });
    expect(await endpointRows(bench)).toEqual([
      { actor: 'mallory', plain: [`${CONFIG}${pointer}`], secret: [PASSWORD_PATH], more: 0 },
    ]);
  });

  it('another connector', async () => {
    const bench = await after({}, {}, { serviceType: 'Postgres' });
    expect(await endpointRows(bench)).toMatchObject([{ plain: ['/serviceType', '/connection/config/type'] }]);
  });

  it('an address that is a secret itself, since a password stands in it', async () => {
    const bench = await after({ extra: 'x' }, { extra: 'postgres://u:MARK-pw@evil/db' });
    expect(await endpointRows(bench)).toMatchObject([
      { plain: ['/connection/config/extra'], secret: [PASSWORD_PATH] },
    ]);
  });

  it('a reference to what the connection has, in place of the mask', async () => {
    const bench = await after({ hostPort: 'a' }, { hostPort: 'b' }, { password: `secret:${PASSWORD_ID}` });
    expect(await endpointRows(bench)).toHaveLength(1);
  });

  it('each of two steps: taken away, then set to another', async () => {
    const bench = await after({ hostPort: 'a' }, {});
    await bench.handle(eventRecord({ password: MASKED, config: { hostPort: 'evil' }, at: 3 }));
    expect(await endpointRows(bench)).toHaveLength(2);
  });

  it('a late text that goes where a newer event had moved its mask', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', config: { hostPort: 'a' }, at: 1 }));
    await bench.handle(
      eventRecord({ password: MASKED, config: { hostPort: 'evil' }, at: 30, actor: 'mallory' }),
    );
    await bench.handle(eventRecord({ password: 'MARK-b', config: { hostPort: 'a' }, at: 20 }));
    expect(bench.last?.outcome).toBe('applied');
    expect(await endpointRows(bench)).toHaveLength(2);
  });

  it.each<[string, Config, Config, EventSpec]>([
    ['a rename', {}, {}, { name: 'renamed' }],
    ['with the secret’s text', { hostPort: 'a' }, { hostPort: 'b' }, { password: 'MARK-b' }],
    ['with the same text again', { hostPort: 'a' }, { hostPort: 'b' }, { password: 'MARK-a' }],
    ['with the secret gone', { hostPort: 'a' }, { hostPort: 'b' }, { password: null }],
    ['another database', { hostPort: 'a', databaseName: 'x' }, { hostPort: 'a', databaseName: 'y' }, {}],
    ['another user', { hostPort: 'a' }, { hostPort: 'a', username: 'other' }, {}],
    ['a pattern of names', { schemaFilterPattern: { includes: ['a.b'] } }, {}, {}],
    ['a member that is null now and was not there', {}, { hostPort: null }, {}],
  ])('nothing to tell: %s', async (_, before, now, more) => {
    const bench = await after(before, now, more);
    expect(bench.last).toMatchObject({ outcome: 'applied', notes: [] });
    expect(await endpointRows(bench)).toEqual([]);
  });
});

describe('MASKED_SECRET_ON_NEW_ENDPOINT=refuse', () => {
  const refuse = { MASKED_SECRET_ON_NEW_ENDPOINT: 'refuse' };

  it('refuses the event, naming the fields; with the text it is applied', async () => {
    const bench = await after({ hostPort: 'a' }, { hostPort: 'b' }, {}, refuse);
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'MASKED_SECRET_ON_NEW_ENDPOINT' });
    const [letter] = await bench.query('SELECT detail FROM dead_letter');
    expect(letter?.['detail']).toBe(`${PASSWORD_PATH}: masked, while ${CONFIG}/hostPort changed`);
    expect(await endpointRows(bench)).toEqual([]);
    await bench.handle(eventRecord({ password: 'MARK-a', config: { hostPort: 'b' }, at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(await bench.kept()).toEqual([]);
  });

  it('refuses a late text whose endpoint is another by now', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', config: { hostPort: 'a' }, at: 1 }));
    await bench.handle(eventRecord({ password: MASKED, config: { hostPort: 'evil' }, at: 30 }));
    await bench.restart(refuse);
    // In-memory stores end with their process, so the value is not looked at.
    await bench.handle(eventRecord({ password: 'MARK-b', config: { hostPort: 'a' }, at: 20 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'MASKED_SECRET_ON_NEW_ENDPOINT' });
  });
});
