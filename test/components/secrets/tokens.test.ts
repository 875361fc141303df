import { describe, expect, it } from 'vitest';
import { generateKey, KeyRing, sealText } from '../../../src/fernet/index.js';
import { queryDatabase, sealedFor } from '../../harness/index.js';
import { CONNECTION, eventRecord, OTHER } from '../pipeline/events.js';
import { Bench, BENCH_KEY, BENCH_PUBLISHER_KEY } from './fixture.js';

const INGESTION = generateKey();

/** Puts a text into the thief's own password field. */
async function stolen(bench: Bench, password: string, config = {}): Promise<string | null | undefined> {
  await bench.handle(eventRecord({ id: OTHER, name: 'thief', password, config, at: 2 }));
  expect(bench.sent(OTHER)).toBeUndefined();
  await bench.expectNowhereElse('MARK-victim');
  return bench.last?.code;
}

async function rowsOf(bench: Bench, column: string, table: string): Promise<string[]> {
  return (await queryDatabase(bench, `SELECT ${column} AS sealed FROM ${table}`)).map((row) =>
    String(row['sealed']),
  );
}

describe('a token that was copied from elsewhere', () => {
  it('out of connection.secured, with FERNET_KEY alone: refused', async () => {
    const bench = await Bench.open({
      SECRET_MANAGER: 'db',
      PUBLISHER_FERNET_KEY: '',
      DEAD_LETTER_FERNET_KEY: '',
    });
    await bench.handle(eventRecord({ password: 'MARK-victim', at: 1 }));
    const token = bench.sent(CONNECTION)?.secretFields[0]?.reference ?? '';
    expect(token).toMatch(/^fernet:/);
    expect(await stolen(bench, token)).toBe('TOKEN_NOT_OPENED');
  });

  it('out of the database or a dead letter, with an ingestion key and no publisher’s: refused', async () => {
    const bench = await Bench.open({
      ...{ SECRET_MANAGER: 'db', INGESTION_FERNET_KEY: INGESTION },
      ...{ PUBLISHER_FERNET_KEY: '', DEAD_LETTER_FERNET_KEY: '' },
    });
    await bench.handle(eventRecord({ password: 'MARK-victim', at: 1 }));
    await bench.handle(eventRecord({ id: 'kept', name: 'kept', password: 'null', at: 1 }));
    const tokens = [
      ...(await rowsOf(bench, 'sealed', 'secret_reference')),
      ...(await rowsOf(bench, 'payload', 'dead_letter')),
      ...(await rowsOf(bench, 'payload', 'outbox')),
    ];
    expect(tokens.length).toBeGreaterThanOrEqual(3);
    for (const token of tokens) expect(await stolen(bench, token)).toBe('TOKEN_NOT_OPENED');
  });

  it.each(['bound', 'any'])(
    'out of the source topic, all keys apart, PUBLISHER_TOKENS=%s: refused',
    async (mode) => {
      const bench = await Bench.open({ INGESTION_FERNET_KEY: INGESTION, PUBLISHER_TOKENS: mode });
      const token = sealedFor(BENCH_PUBLISHER_KEY, CONNECTION, 'MARK-victim');
      await bench.handle(eventRecord({ password: token, at: 1 }));
      expect(bench.last).toMatchObject({ outcome: 'applied' });
      expect(await stolen(bench, token)).toBe('TOKEN_FOR_ANOTHER_FIELD');
      // Of the same connection, but in a field that goes elsewhere.
      await bench.handle(eventRecord({ config: { connectionOptions: { api_key: token } }, at: 3 }));
      expect(bench.last).toMatchObject({ outcome: 'refused', code: 'TOKEN_FOR_ANOTHER_FIELD' });
      expect(bench.sent(CONNECTION)).toMatchObject({ revision: 1 });
    },
  );

  it('of a publisher that names no field: refused, unless PUBLISHER_TOKENS=any', async () => {
    const bench = await Bench.open();
    const token = sealText(KeyRing.parse('K', BENCH_PUBLISHER_KEY), 'MARK-plain');
    await bench.handle(eventRecord({ password: token, at: 1 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'TOKEN_NOT_BOUND' });
    await bench.restart({ PUBLISHER_TOKENS: 'any' });
    await bench.handle(eventRecord({ password: token, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
  });

  it('a password that looks like a token is kept as it is, and is not opened when it is read', async () => {
    const bench = await Bench.open({ SECRET_MANAGER: 'db', INGESTION_FERNET_KEY: INGESTION });
    const password = sealText(KeyRing.parse('K', BENCH_KEY), 'MARK-inside');
    await bench.handle(
      eventRecord({ password: sealedFor(BENCH_PUBLISHER_KEY, CONNECTION, password), at: 1 }),
    );
    const token = bench.sent(CONNECTION)?.secretFields[0]?.reference ?? '';
    expect(KeyRing.parse('K', INGESTION).open(token.slice('fernet:'.length))).toBe(password);
  });
});
