import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/terms.js';
import { CONNECTION, eventRecord, MASKED, OTHER, PASSWORD_ID } from '../pipeline/events.js';
import { configOf, referencesOf } from '../pipeline/sent-event.js';
import { Bench } from './fixture.js';

const idOf = (...keys: string[]): string => PASSWORD_ID.replace('/password', `/${keys.join('/')}`);
const server = (name: string, apiKey: Json) => ({ name, url: `https://${name}`, apiKey });

describe('several rules in one event, in nested objects and arrays', () => {
  it('each field goes its own way', async () => {
    const bench = await Bench.open();
    const before = {
      authType: { password: 'MARK-kept' },
      sslConfig: { sslKey: 'MARK-changed', caCertificate: 'MARK-same', sslCertificate: 'MARK-cleared' },
      nodes: [server('a', 'MARK-a'), server('b', 'MARK-b'), server('c', 'MARK-c'), server('d', 'MARK-d')],
      connectionOptions: { token: 'MARK-moved' },
    };
    await bench.handle(eventRecord({ config: before, at: 1 }));
    expect(bench.puts).toHaveLength(9);
    const after = {
      authType: { password: MASKED },
      sslConfig: { sslKey: 'MARK-new', caCertificate: 'MARK-same', sslCertificate: '' },
      // Another order, one gone, one new, one changed, one external.
      nodes: [
        server('e', 'MARK-e'),
        server('c', MASKED),
        server('a', 'MARK-a2'),
        server('b', 'secret:/team/b'),
      ],
      connectionArguments: { token: `secret:${idOf('connectionoptions', 'token')}` },
    };
    await bench.handle(eventRecord({ config: after, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 3 });
    expect(configOf(bench.sent(CONNECTION))).toMatchObject({
      authType: { password: `secret:${idOf('authtype', 'password')}` },
      sslConfig: {
        sslKey: `secret:${idOf('sslconfig', 'sslkey')}`,
        caCertificate: `secret:${idOf('sslconfig', 'cacertificate')}`,
        sslCertificate: null,
      },
      nodes: [
        { apiKey: `secret:${idOf('nodes', 'e', 'apikey')}` },
        { apiKey: `secret:${idOf('nodes', 'c', 'apikey')}` },
        { apiKey: `secret:${idOf('nodes', 'a', 'apikey')}` },
        { apiKey: 'secret:/team/b' },
      ],
      connectionArguments: { token: `secret:${idOf('connectionoptions', 'token')}` },
    });
    expect(await bench.valueOf(idOf('nodes', 'c', 'apikey'))).toBe('MARK-c');
    expect(await bench.valueOf(idOf('nodes', 'a', 'apikey'))).toBe('MARK-a2');
    const retired = Object.entries(await bench.stored()).flatMap(([id, state]) =>
      state === 'live' ? [] : [id],
    );
    expect(retired).toEqual([
      idOf('nodes', 'b', 'apikey'),
      idOf('nodes', 'd', 'apikey'),
      idOf('sslconfig', 'sslcertificate'),
    ]);
    await bench.expectNowhereElse('MARK-');
  });

  it.each<[string, Json, string]>([
    ['a number', 7, 'FIELD_NOT_A_STRING'],
    ['the word null', 'null', 'VALUE_IS_THE_WORD_NULL'],
    ['too long', 'x'.repeat(70_000), 'VALUE_TOO_LONG'],
    ['a token nobody can open', 'fernet:gAAAAAnonsense', 'TOKEN_NOT_OPENED'],
    ['another connection’s', `secret:${PASSWORD_ID.replace('mysql-test', 'other')}`, 'REFERENCE_FOREIGN'],
  ])('one field that is refused (%s), deep in an array, refuses them all', async (_, apiKey, code) => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-other' }));
    await bench.handle(
      eventRecord({
        serviceType: 'Mcp',
        config: { servers: [server('a', 'MARK-a'), server('b', 'MARK-b')] },
        at: 1,
      }),
    );
    const state = async () => [
      await bench.query('SELECT * FROM secret_reference ORDER BY path_hash'),
      await bench.query('SELECT id, revision, entity FROM connection ORDER BY id'),
      await bench.stored(),
      referencesOf(bench.sent(CONNECTION)),
      bench.calls,
      bench.topics.secured.length,
    ];
    const before = await state();
    const config = { password: 'MARK-fine', servers: [server('a', 'MARK-a2'), server('b', apiKey)] };
    await bench.handle(eventRecord({ serviceType: 'Mcp', config, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code });
    expect(await state()).toEqual(before);
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain('/connection/config/servers/1/apiKey');
    await bench.expectNowhereElse('MARK-');
  });
});
