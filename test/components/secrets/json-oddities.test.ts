import { describe, expect, it } from 'vitest';
import {
  changeEvent,
  CONNECTION,
  eventRecord,
  OTHER,
  PASSWORD_ID,
  sourceRecord,
} from '../pipeline/events.js';
import { configOf, referencesOf } from '../pipeline/sent-event.js';
import { Bench } from './fixture.js';
import { LIMITS } from '../../../src/limits.js';

const idOf = (...keys: string[]): string => PASSWORD_ID.replace('/password', `/${keys.join('/')}`);

/** A change event whose config has these members, written as they are: what no JSON.stringify would write. */
function raw(members: string, at = 1): ReturnType<typeof sourceRecord> {
  const event = changeEvent({ at, config: { here: 'x' } });
  return sourceRecord(JSON.stringify(event).replace('"here":"x"', () => members));
}

/** The worker goes on: the next event of another connection is applied. */
async function expectAlive(bench: Bench): Promise<void> {
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-next' }));
  expect(bench.last).toMatchObject({ outcome: 'applied', connectionId: OTHER });
  expect(await bench.valueOf(PASSWORD_ID.replace('mysql-test', 'other'))).toBe('MARK-next');
  await bench.expectNowhereElse('MARK-');
}

describe('keys that programs stumble over are keys like any other', () => {
  it('__proto__, constructor, toString, hasOwnProperty: kept where they are, secrets in them found', async () => {
    const bench = await Bench.open();
    const members =
      '"__proto__":{"password":"MARK-1","admin":true},"constructor":{"prototype":{"token":"MARK-2"}},' +
      '"toString":"plain","hasOwnProperty":{"apiKey":"MARK-3"},"password":"MARK-4"';
    await bench.handle(raw(members));
    expect(bench.last).toMatchObject({ outcome: 'applied', secretFields: 4 });
    const sent = bench.topics.records.at(-1)?.value?.toString() ?? '';
    expect(sent).toContain(`"__proto__":{"password":"secret:${idOf('__proto__', 'password')}","admin":true}`);
    expect(sent).toContain('"toString":"plain"');
    expect(Object.values(referencesOf(bench.sent(CONNECTION)))).toContain(
      `secret:${idOf('constructor', 'prototype', 'token')}`,
    );
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    expect(await bench.valueOf(idOf('hasownproperty', 'apikey'))).toBe('MARK-3');
    await expectAlive(bench);
  });
});

describe('refused by name', () => {
  const deep = (levels: number): string => `"d":${'{"d":'.repeat(levels)}"MARK-d"${'}'.repeat(levels)}`;

  it.each([
    ['10,000 levels of objects', deep(10_000), 'EVENT_TOO_DEEP'],
    ['10,000 levels of arrays', `"d":${'['.repeat(10_000)}"MARK-d"${']'.repeat(10_000)}`, 'EVENT_TOO_DEEP'],
    ['a key twice', '"password":"MARK-1","password":"MARK-2"', 'EVENT_INVALID'],
    ['a key twice, one of them escaped', '"password":"MARK-1","pass\\u0077ord":"MARK-2"', 'EVENT_INVALID'],
    ['half a surrogate pair in a value', '"password":"MARK-\\ud83d"', 'EVENT_INVALID'],
    ['half a surrogate pair in a key', '"k\\udc00":"MARK-1"', 'EVENT_INVALID'],
    ['an integer above 2^53', '"limit":9007199254740993,"password":"MARK-1"', 'NUMBER_NOT_EXACT'],
    ['too many digits', '"limit":0.1234567890123456789,"password":"MARK-1"', 'NUMBER_NOT_EXACT'],
    ['too large', '"limit":1e400,"password":"MARK-1"', 'NUMBER_NOT_EXACT'],
    ['too small', '"limit":1e-400,"password":"MARK-1"', 'NUMBER_NOT_EXACT'],
    ['NaN', '"limit":NaN,"password":"MARK-1"', 'EVENT_NOT_DECODABLE'],
    ['a trailing comma', '"password":"MARK-1",', 'EVENT_NOT_DECODABLE'],
  ])('%s', async (_, members, code) => {
    const bench = await Bench.open();
    await bench.handle(raw(members));
    expect(bench.last).toMatchObject({ outcome: 'refused', code });
    expect(bench.calls).toBe(0);
    expect(bench.topics.secured).toEqual([]);
    expect(bench.topics.deadLetters).toHaveLength(1);
    await expectAlive(bench);
  });

  it('bytes that are no UTF-8', async () => {
    const bench = await Bench.open();
    const bytes = Buffer.from(JSON.stringify(changeEvent({ password: 'MARK-~' })));
    bytes[bytes.indexOf('~')] = 0xff;
    await bench.handle(sourceRecord(bytes));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'EVENT_NOT_DECODABLE' });
    await expectAlive(bench);
  });
});

describe('kept exactly', () => {
  it('numbers that a double holds, and what is not ASCII', async () => {
    const bench = await Bench.open();
    await bench.handle(raw('"a":9007199254740992,"b":-0.1,"c":1e21,"d":1.0,"e":"\\ud83d\\udd11 \\u0000é"'));
    expect(configOf(bench.sent(CONNECTION))).toMatchObject({
      a: 9_007_199_254_740_992,
      b: -0.1,
      c: 1e21,
      d: 1,
      e: '🔑 \u0000é',
    });
  });

  it('an entity as deep as is allowed, with a secret at its end', async () => {
    const bench = await Bench.open();
    const levels = 150;
    await bench.handle(raw(`"d":${'{"d":'.repeat(levels)}{"password":"MARK-1"}${'}'.repeat(levels)}`));
    expect(bench.last).toMatchObject({ outcome: 'applied', secretFields: 1 });
    await expectAlive(bench);
  });

  it('an entity that is a JSON string, with all of the above in it', async () => {
    const bench = await Bench.open();
    const event = changeEvent({ password: 'MARK-1' });
    await bench.handle(sourceRecord({ ...event, entity: JSON.stringify(event['entity']) }));
    expect(bench.last).toMatchObject({ outcome: 'applied', secretFields: 1 });
    const twice = JSON.stringify(event['entity']).replace('"password":', '"password":"MARK-0","password":');
    await bench.handle(sourceRecord({ ...event, id: 'twice', timestamp: Date.now(), entity: twice }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'EVENT_INVALID' });
    await expectAlive(bench);
  });
});

describe('megabytes', () => {
  const big = () =>
    eventRecord({
      password: 'MARK-1',
      config: { notes: Array.from({ length: 20 }, () => 'n'.repeat(100_000)) },
    });

  it('where the topic takes it: applied, in seconds', async () => {
    const bench = await Bench.open();
    bench.outlet.maxBytes = Number.MAX_SAFE_INTEGER;
    await bench.handle(big());
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(bench.topics.records.at(-1)?.value?.length).toBeGreaterThan(1_000_000);
    await expectAlive(bench);
  });

  it('where it does not: OUTPUT_TOO_LARGE before any write; the dead letter is kept, its record has headers only', async () => {
    const bench = await Bench.open();
    await bench.handle(big());
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'OUTPUT_TOO_LARGE' });
    expect(bench.calls).toBe(0);
    const [letter] = bench.topics.deadLetters;
    expect([letter?.value, letter?.headers['code']]).toEqual([null, 'OUTPUT_TOO_LARGE']);
    const [row] = await bench.query('SELECT LENGTH(payload) AS bytes FROM dead_letter');
    expect(Number(row?.['bytes'])).toBeGreaterThan(1_000_000);
    await expectAlive(bench);
  });

  it('a password of 1 MB: VALUE_TOO_LONG, naming field, limit and store', async () => {
    const bench = await Bench.open();
    bench.outlet.maxBytes = Number.MAX_SAFE_INTEGER;
    await bench.handle(eventRecord({ password: 'MARK-'.repeat(200_000) }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_TOO_LONG' });
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toMatch(/connection\/config\/password.*1000000.*65536.*in-memory/);
    await expectAlive(bench);
  });

  it('as many secret fields as the limit in one event: applied, each under its own id', async () => {
    const bench = await Bench.open();
    bench.outlet.maxBytes = Number.MAX_SAFE_INTEGER;
    const options = Object.fromEntries(
      Array.from({ length: LIMITS.secretFields }, (_, at) => [`k${at}_password`, `MARK-${at}`]),
    );
    await bench.handle(eventRecord({ config: { connectionOptions: options } }));
    expect(bench.last).toMatchObject({
      outcome: 'applied',
      secretFields: LIMITS.secretFields,
      writes: LIMITS.secretFields,
    });
    expect(bench.puts).toHaveLength(LIMITS.secretFields);
    await expectAlive(bench);
  });
});
