import { describe, expect, it } from 'vitest';
import { generateKey, KeyRing, sealText, tokenOf } from '../../../src/fernet/index.js';
import { createDatabase, queryDatabase, sealedFor } from '../../harness/index.js';
import { CONNECTION, eventRecord, OTHER } from '../pipeline/events.js';
import type { SentEvent } from '../pipeline/sent-event.js';
import { Bench, BENCH_KEY, NEVER } from '../secrets/fixture.js';
import { BOTH, NEW_ALONE, OLD_ALONE, placesOf, Rotations, type Settings } from './rotation.js';

const [OLD_OUT, NEW_OUT] = [generateKey(), generateKey()];
const OUT_OLD = { INGESTION_FERNET_KEY: OLD_OUT };
const OUT_BOTH = { INGESTION_FERNET_KEY: `${NEW_OUT},${OLD_OUT}` };
const OUT_NEW = { INGESTION_FERNET_KEY: NEW_OUT };

async function benchWith(env: Settings): Promise<{ bench: Bench; rotations: Rotations }> {
  const { url } = await createDatabase('sqlite');
  const bench = await Bench.open({ DATABASE_URL: url, ...env, ...OLD_ALONE, ...OUT_OLD });
  await bench.handle(eventRecord({ password: 'MARK-one', at: 1 }));
  await bench.handle(eventRecord({ id: OTHER, name: 'plain', at: 1 }));
  return { bench, rotations: new Rotations(bench, env) };
}

function tokenIn(event: SentEvent | undefined): string {
  return tokenOf(event?.secretFields[0]?.reference ?? '');
}

describe('what publishers sealed with an old key', () => {
  it('is counted in waiting events and dead letters, and needs the old key until they are gone', async () => {
    const [oldKey, newKey] = [generateKey(), generateKey()];
    const password = sealedFor(oldKey, `${OTHER}-k`, 'MARK-sealed');
    const { bench, rotations } = await benchWith({ PUBLISHER_FERNET_KEY: newKey });
    await bench.handle(eventRecord({ id: `${OTHER}-k`, name: 'kept', password, at: 1 }));
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'TOKEN_NOT_OPENED' }]);
    const keys = { ...OLD_ALONE, ...OUT_OLD, PUBLISHER_FERNET_KEY: `${newKey},${oldKey}` };
    const found = async (): Promise<string[]> =>
      (await rotations.doctor(keys))
        .filter(({ check }) => check === 'PUBLISHER_FERNET_KEY, what publishers sealed')
        .map(({ result, detail }) => `${result}: ${detail.split(' ', 2).join(' ')}`);
    expect(await found()).toEqual(['warning: 1 field']);
    await bench.change('DELETE FROM dead_letter');
    expect(await found()).toEqual(['ok: no kept']);
  });
});

describe('what was published under an old key', () => {
  it.each([
    { title: 'values of the manager db', env: { SECRET_MANAGER: 'db' }, inside: 'MARK-one' },
    {
      title: 'references with SECURED_REFERENCES=sealed',
      env: { SECURED_REFERENCES: 'sealed' },
      inside: 'secret:/openmetadata/database/mysql-test/password',
    },
  ])('$title: published once more, as the last record of the connection', async ({ env, inside }) => {
    const { bench, rotations } = await benchWith(env);
    await bench.close();
    expect(placesOf((await rotations.run({ ...BOTH, ...OUT_BOTH }, '--dry-run')).report)).toMatchObject({
      'connection.secured': { keys: 'INGESTION_FERNET_KEY', current: 0, old: 1 },
    });
    const { code, report } = await rotations.run({ ...BOTH, ...OUT_BOTH });
    expect(code).toBe(0);
    expect(placesOf(report)['connection.secured']).toMatchObject({ rotated: 1, current: 1, old: 0 });

    await bench.restart({ ...NEW_ALONE, ...OUT_NEW });
    expect(bench.sent(CONNECTION)).toMatchObject({ revision: 1 });
    await bench.worker.relay.run(NEVER);
    const event = bench.sent(CONNECTION);
    expect(event).toMatchObject({ revision: 2, operation: 'rotated' });
    expect(KeyRing.parse('k', NEW_OUT).open(tokenIn(event))).toBe(inside);
    expect(bench.sent(OTHER)).toMatchObject({ revision: 1 });
    // Unchanged text is still no change, and the next revision follows.
    await bench.handle(eventRecord({ password: 'MARK-one', at: 2 }));
    expect(bench.sent(CONNECTION)).toMatchObject({ revision: 3, operation: 'updated' });
    expect(await bench.query('SELECT COUNT(*) AS n FROM audit WHERE path IS NOT NULL')).toEqual([{ n: 1 }]);
  });

  it('plain references depend on no key: nothing is published', async () => {
    const { bench, rotations } = await benchWith({});
    await bench.close();
    const { report } = await rotations.run({ ...BOTH, ...OUT_BOTH });
    expect(placesOf(report)['connection.secured']).toMatchObject({ rotated: 0, current: 0, old: 0 });
    await bench.restart({ ...NEW_ALONE, ...OUT_NEW });
    expect(await bench.worker.relay.run(NEVER)).toBe(0);
  });

  it('the database key alone has changed: nothing is published', async () => {
    const { bench, rotations } = await benchWith({ SECRET_MANAGER: 'db' });
    await bench.close();
    const { code, report } = await rotations.run({ ...BOTH, ...OUT_OLD });
    expect({ code, rotated: placesOf(report)['connection.secured']?.rotated }).toEqual({
      code: 0,
      rotated: 0,
    });
    await bench.restart({ ...NEW_ALONE, ...OUT_OLD });
    expect(await bench.worker.relay.run(NEVER)).toBe(0);
    await bench.handle(eventRecord({ password: 'MARK-one', at: 2 }));
    expect(await bench.query('SELECT COUNT(*) AS n FROM audit WHERE path IS NOT NULL')).toEqual([{ n: 1 }]);
  });

  it('a record of an earlier version that the outbox no longer has counts as old, until a rotation has ended', async () => {
    const { bench, rotations } = await benchWith({ SECRET_MANAGER: 'db' });
    await forgetSent(bench);
    await bench.close();
    const keys = { ...BOTH, ...OUT_BOTH };
    expect(placesOf((await rotations.run(keys)).report)['connection.secured']).toMatchObject({ rotated: 1 });
    await bench.restart(keys);
    await bench.worker.relay.run(NEVER);
    await forgetSent(bench);
    await bench.close();
    expect((await rotations.run(keys)).report).toMatchObject({ rotated: 0, complete: true });
    expect(await rotations.doctor(keys)).toContainEqual(
      expect.objectContaining({ check: 'INGESTION_FERNET_KEY, old keys', result: 'ok' }),
    );
  });
});

/** As an earlier version leaves it once the outbox is pruned. */
async function forgetSent(bench: Bench): Promise<void> {
  await bench.change('DELETE FROM outbox');
  await bench.change('UPDATE connection SET secured_from = NULL');
}

async function payloadsOf(bench: Bench, table: string): Promise<string[]> {
  return (await queryDatabase(bench, `SELECT payload FROM ${table}`)).map((row) => String(row['payload']));
}

describe('what 0.1 sealed with FERNET_KEY itself', () => {
  const alone = { PUBLISHER_FERNET_KEY: '', DEAD_LETTER_FERNET_KEY: '' };
  const database = KeyRing.parse('K', BENCH_KEY);

  it('a kept event and an unsent record are opened, and have derived keys once they are rotated', async () => {
    const bench = await Bench.open({ DATABASE_URL: (await createDatabase('sqlite')).url, ...alone });
    await bench.handle(eventRecord({ password: 'null', at: 1 }));
    await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-two', at: 1 }));
    const places = [
      ['dead_letter', database.derive('dead-letter')],
      ['outbox', database.derive('outbox')],
    ] as const;
    for (const [table, ring] of places)
      for (const sealed of await payloadsOf(bench, table)) {
        expect(database.opens(tokenOf(sealed)), table).toBe(false);
        const asBefore = sealText(database, ring.open(tokenOf(sealed)));
        await bench.change(`UPDATE ${table} SET payload = '${asBefore}' WHERE payload = '${sealed}'`);
      }
    await bench.change('UPDATE outbox SET sent_at_ms = NULL');
    expect(await bench.worker.relay.run(NEVER)).toBeGreaterThan(0);
    await bench.change('UPDATE dead_letter SET next_attempt_at_ms = 1');
    await bench.worker.pipeline.retryKept(NEVER);
    expect(bench.last).toMatchObject({ code: 'VALUE_IS_THE_WORD_NULL' });
    await bench.close();
    const rotations = new Rotations(bench);
    const keys = { FERNET_KEY: BENCH_KEY };
    expect(await rotations.doctor(keys)).toContainEqual(
      expect.objectContaining({ check: 'dead_letter', result: 'warning' }),
    );
    expect(await rotations.run(keys)).toMatchObject({ code: 0, report: { complete: true } });
    for (const [table, ring] of places)
      for (const sealed of await payloadsOf(bench, table))
        expect(ring.opens(tokenOf(sealed)), table).toBe(true);
  });
});
