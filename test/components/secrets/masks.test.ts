import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/terms.js';
import { sealedFor } from '../../harness/index.js';
import { CONNECTION, eventRecord, MASKED, PASSWORD_ID } from '../pipeline/events.js';
import { configOf, referencesOf } from '../pipeline/sent-event.js';
import { Bench, BENCH_PUBLISHER_KEY } from './fixture.js';

const idOf = (...keys: string[]): string => PASSWORD_ID.replace('/password', `/${keys.join('/')}`);
const URL_ID = idOf('connectionoptions', 'url');
const options = (more: Record<string, Json>) => ({ connectionOptions: more });

/** All that an event that is refused must leave as it was. */
const stateOf = async (bench: Bench) => ({
  references: await bench.query('SELECT * FROM secret_reference ORDER BY path_hash'),
  connection: await bench.query('SELECT revision, entity FROM connection WHERE revision > 0'),
  stored: await bench.stored(),
  puts: bench.puts.length,
  sent: bench.topics.secured.length,
});

async function expectRefused(bench: Bench, event: Parameters<typeof eventRecord>[0], field: string) {
  const before = await stateOf(bench);
  await bench.handle(eventRecord(event));
  expect(bench.last).toMatchObject({ outcome: 'refused', code: 'MASK_NOT_UNDERSTOOD' });
  expect(await stateOf(bench)).toEqual(before);
  const [row] = await bench.query('SELECT detail FROM dead_letter');
  expect(row?.['detail']).toContain(field);
}

describe('masks of a password field', () => {
  it.each(['********', '***', '•••', '••••••••', '*'.repeat(40)])('%s keeps the stored one', async (mask) => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', config: options({ token: 'MARK-b' }), at: 1 }));
    await bench.handle(eventRecord({ password: mask, config: options({ token: mask }), at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 0 });
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(configOf(bench.sent(CONNECTION))).toMatchObject({
      password: `secret:${PASSWORD_ID}`,
      ...options({ token: `secret:${idOf('connectionoptions', 'token')}` }),
    });
    const [row] = await bench.query('SELECT entity FROM connection');
    expect(JSON.parse(String(row?.['entity']))).toMatchObject({
      connection: { config: { password: MASKED } },
    });
  });

  it('••• waits for its original', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: '•••', at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'waiting', code: 'MASK_WITHOUT_ORIGINAL' });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    expect(Object.keys(referencesOf(bench.sent(CONNECTION)) ?? {})).toHaveLength(1);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it.each(['XXXXXXXXXX', '[hidden]', '<redacted>', '****1234', 'REDACTED', '__masked__'])(
    '%s is refused, stored or not',
    async (mask) => {
      const bench = await Bench.open();
      await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await expectRefused(bench, { password: mask, at: 2 }, '/connection/config/password');
      const sealed = sealedFor(BENCH_PUBLISHER_KEY, CONNECTION, mask, '/connection/config/password');
      await expectRefused(bench, { password: sealed, at: 3 }, '/connection/config/password');
      expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
      const fresh = await Bench.open();
      await expectRefused(fresh, { password: mask, at: 2 }, '/connection/config/password');
    },
  );

  it('a stale event sets what it has a value for, whatever its masks', async () => {
    const bench = await Bench.open();
    const both = (password: Json, sslKey: Json) => ({ password, config: { sslConfig: { sslKey } } });
    await bench.handle(eventRecord({ ...both('MARK-a', 'MARK-b'), at: 1 }));
    await bench.handle(eventRecord({ ...both(MASKED, MASKED), at: 3 }));
    await bench.handle(eventRecord({ ...both('[hidden]', 'MARK-c'), at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 1 });
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await bench.valueOf(idOf('sslconfig', 'sslkey'))).toBe('MARK-c');
    expect(Object.values(await bench.stored())).toEqual(['live', 'live']);
  });
});

describe('a mask inside of an address', () => {
  const urls = (password: string): string[] => [
    `postgresql://u:${password}@db:5432/sales`,
    `Server=db;User ID=u;Password=${password};Encrypt=True`,
    `{"user": "u", "password": "${password}"}`,
  ];

  it.each([MASKED, '***', '••••••', 'XXXXXXXXXX', '[hidden]', '%2A%2A%2A%2A'])(
    '%s keeps the stored one, and is refused',
    async (mask) => {
      for (const [at, url] of urls('MARK-a').entries()) {
        const bench = await Bench.open();
        await bench.handle(eventRecord({ config: options({ url }), at: 1 }));
        expect(await bench.valueOf(URL_ID)).toBe(url);
        const masked = options({ url: urls(mask)[at] ?? '' });
        await expectRefused(bench, { config: masked, at: 2 }, '/connection/config/connectionOptions/url');
        expect(await bench.stored()).toEqual({ [URL_ID]: 'live' });
        // As a whole it is understood.
        await bench.handle(eventRecord({ config: options({ url: MASKED }), at: 3 }));
        expect(bench.last).toMatchObject({ outcome: 'applied', writes: 0 });
        await bench.expectNowhereElse('MARK-');
      }
    },
  );

  it('is refused where nothing is stored, too: nobody could connect with it', async () => {
    for (const url of urls(MASKED)) {
      const bench = await Bench.open();
      const field = '/connection/config/connectionOptions/url';
      await expectRefused(bench, { config: options({ url }), at: 1 }, field);
    }
  });

  it('keeps what is stored also where nobody can tell which part is hidden', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ config: options({ url: 'https://u:MARK-a@h/x' }), at: 1 }));
    for (const [at, url] of ['https://***@h/x', '***', 'h (redacted)'].entries()) {
      await bench.handle(eventRecord({ config: options({ url }), at: at + 2 }));
      expect(bench.last?.outcome).toBe(url === '***' ? 'applied' : 'refused');
      expect(await bench.stored()).toEqual({ [URL_ID]: 'live' });
    }
  });

  it('stars that stand for nothing pass', async () => {
    const bench = await Bench.open();
    const plain = { note: 'SELECT *** x', line: '--------', stars: '***', shown: 'h (redacted)' };
    await bench.handle(eventRecord({ config: options(plain) }));
    expect(bench.last?.outcome).toBe('applied');
    expect(configOf(bench.sent(CONNECTION))).toMatchObject(options(plain));
  });

  it('is an example in a description', async () => {
    const bench = await Bench.open();
    const event = JSON.parse(eventRecord({ password: 'MARK-a' }).value?.toString() ?? '') as {
      entity: Record<string, unknown>;
    };
    event.entity['description'] = 'Use postgresql://u:***@db/sales';
    await bench.handle({ ...eventRecord({}), value: Buffer.from(JSON.stringify(event)) });
    expect(bench.last?.outcome).toBe('applied');
  });

  it('that overtakes its original does not lose it', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ config: options({ url: 'https://***@h/x' }), at: 2 }));
    await bench.handle(eventRecord({ config: options({ url: 'https://u:MARK-a@h/x' }), at: 1 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 1 });
    expect(configOf(bench.sent(CONNECTION))).toMatchObject(options({ url: `secret:${URL_ID}` }));
  });
});

describe('masks with SECRET_BY_NAME=report', () => {
  it('are refused where a secret is stored, and left as they are where none is', async () => {
    const bench = await Bench.open();
    const url = 'https://u:MARK-a@h/x';
    await bench.handle(eventRecord({ config: options({ url, api_key: 'MARK-b' }), at: 1 }));
    await bench.restart({ SECRET_BY_NAME: 'report' });
    const other = { url: MASKED, api_key: MASKED, token: '[hidden]', db: 'ftp://u:***@h' };
    await bench.handle(eventRecord({ config: options(other), at: 2 }));
    expect(configOf(bench.sent(CONNECTION))).toMatchObject(
      options({
        ...other,
        url: `secret:${URL_ID}`,
        api_key: `secret:${idOf('connectionoptions', 'api_key')}`,
      }),
    );
    const field = '/connection/config/connectionOptions';
    await expectRefused(bench, { config: options({ ...other, api_key: '[hidden]' }), at: 3 }, field);
    const masked = { ...other, url: 'https://u:XXXXXXXXXX@h/x' };
    await bench.handle(eventRecord({ config: options(masked), at: 4 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'MASK_NOT_UNDERSTOOD' });
    expect(Object.values(await bench.stored())).toEqual(['live', 'live']);
  });
});

describe('a text that begins like a reference', () => {
  it.each(['secret:pa$$word', 'secrets:a b$c'])('%s does not stay in the clear', async (text) => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ config: options({ any: text }) }));
    expect(bench.last?.secretFields).not.toBe(0);
  });
});
