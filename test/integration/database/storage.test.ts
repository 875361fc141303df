import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { sha256Hex } from '../../../src/hash.js';
import { findUntidy } from '../../../src/database/find-pending.js';
import {
  applied,
  claimOf,
  claimOne,
  claimRequest,
  connectionRow,
  describeEngines,
  openLedger,
  referenceRow,
  storedRow,
} from './support.js';

describeEngines('what is stored', (engine) => {
  it.each([
    ['unicode', 'pässwörd-密码-🔑-\u200f\u0301'],
    ['100 KB', 'ü'.repeat(50_000)],
    ['a quote, a backslash, a percent', `a'b"c\\d%e\\'`],
    ['spaces at both ends', '  x \t\n'],
    ['nothing', ''],
  ])('comes back as it was: %s', async (_, text) => {
    const { ledger } = await openLedger(engine);
    await claimOne(ledger, 'c', (state) => ({
      connection: connectionRow(state, { name: text, entity: text, eventId: text }),
      references: { set: [referenceRow('c', text, { sealed: text })], removePathHashes: [] },
    }));
    const [seen] = await ledger.claim([claimRequest('c', () => ({ kind: 'later', waitMs: 1 }))]);
    expect(seen?.kind).toBe('busy');
    const found: unknown[] = [];
    await ledger.settle([
      { claim: { connectionId: 'c', owner: '', epoch: 1, deadlineMs: 0 }, sentIds: [], isPublished: false },
    ]);
    await ledger.claim([
      claimRequest('c', ({ connection, references }) => {
        found.push(connection.name, connection.entity, references[0]?.path, references[0]?.sealed);
        return { kind: 'settle', outcome: applied, changes: {} };
      }),
    ]);
    expect(found).toEqual([text, text, text, text]);
  });

  it.each([
    ['NUL', 'a\0b'],
    ['half a surrogate pair', 'a\uD800b\uDC00'],
    ['the mark of an escape', 'a\uFDD0b\uFDD00000'],
  ])('%s in a name stops nothing and comes back', async (_, text) => {
    const { ledger, database } = await openLedger(engine);
    await claimOne(ledger, 'c', (state) => ({
      connection: connectionRow(state, { name: text, entity: JSON.stringify({ text }) }),
    }));
    const [row] = await database.run(({ manager, tables }) => manager.find(tables.connection));
    expect(row?.name).toBe(text);
    expect(JSON.parse(row?.entity ?? '')).toEqual({ text });
  });

  it('an entity of 1 MB, and big integers', async () => {
    const { ledger, database } = await openLedger(engine);
    const entity = JSON.stringify({ text: 'x'.repeat(1_000_000) });
    const expires = 9_007_199_254_740_991;
    await claimOne(ledger, 'c', (state) => ({
      connection: connectionRow(state, { entity, createdAtMs: expires, version: 0.1 }),
    }));
    const [row] = await database.run(({ manager, tables }) => manager.find(tables.connection));
    expect(row?.entity).toBe(entity);
    expect(row?.createdAtMs).toBe(expires);
    expect(row?.version).toBe(0.1);
  });

  it('sixteen entities of 1 MB in one transaction', async () => {
    const { ledger, database } = await openLedger(engine);
    const entity = 'x'.repeat(1_100_000);
    const ids = Array.from({ length: 16 }, (_, index) => `c${index}`);
    await ledger.claim(
      ids.map((id) =>
        claimRequest(id, (state) => ({
          kind: 'commit',
          outcome: applied,
          changes: { connection: connectionRow(state, { entity }) },
        })),
      ),
    );
    const [row] = await database.run(({ manager }) =>
      manager.query<{ n: string }[]>('SELECT SUM(LENGTH(entity)) AS n FROM connection'),
    );
    expect(Number(row?.n)).toBe(16 * entity.length);
  });

  it('a connection of 70,000 secret fields, and asking for as many ids', async () => {
    const { ledger } = await openLedger(engine);
    const ids = Array.from({ length: 70_000 }, (_, index) => `/x/${index}`);
    await ledger.append([{ stored: { insert: [storedRow('other', '/x/69999')] } }]);
    const [result] = await ledger.claim([
      claimRequest(
        'c',
        ({ foreign }) => ({
          kind: 'settle',
          outcome: { name: foreign.length === 1 ? 'applied' : 'stale', code: null },
          changes: {},
        }),
        { secretIds: () => ids },
      ),
    ]);
    expect(result).toEqual({ kind: 'settled', outcome: applied });
    const hashes = ids.map(sha256Hex);
    await claimOne(ledger, 'c', (state) => ({
      connection: connectionRow(state),
      references: { set: [], removePathHashes: hashes },
      deadLetters: { set: [], removeEventHashes: hashes },
    }));
  });

  it('ids that differ by case are different ones', async () => {
    const { ledger, database } = await openLedger(engine);
    for (const id of ['abc', 'ABC'])
      await claimOne(ledger, id, (state) => ({
        connection: connectionRow(state, { name: id }),
        stored: { insert: [storedRow(id, `/x/${id}`)] },
      }));
    const rows = await database.run(({ manager, tables }) => manager.find(tables.connection));
    expect(rows.map(({ id, name }) => [id, name]).sort()).toEqual([
      ['ABC', 'ABC'],
      ['abc', 'abc'],
    ]);
    const due = await database.run((tx) => findUntidy(tx, 10, []));
    expect(due).toEqual([]);
  });

  it('an error names its code, never a statement or a parameter', async () => {
    const { ledger, database } = await openLedger(engine);
    await ledger.append([{ stored: { insert: [storedRow('a', '/MARK-id')] } }]);
    const errors = await Promise.all(
      [
        ledger.append([{ stored: { insert: [storedRow('MARK-b', '/MARK-id')] } }]),
        ledger.append([{ stored: { insert: [storedRow('a', '/MARK-null', { state: null as never })] } }]),
        database.run(({ manager }) => manager.query(`SELECT 'MARK-statement' FROM nowhere`)),
        ledger.append([{ stored: { revive: [{ row: storedRow('x', '/MARK-id'), from: 'a' }] } }]),
      ].map((promise) =>
        promise.then(
          () => null,
          (error: unknown) => error,
        ),
      ),
    );
    expect(errors.map((error) => (error as { failure: string } | null)?.failure)).toEqual([
      'unique',
      'refused',
      'refused',
      'unique',
    ]);
    const all = inspect(errors, { depth: 20, showHidden: true });
    expect(all + errors.map((error) => (error as Error).stack).join()).not.toContain('MARK-');
  });

  it('one name, two ledgers: one insert wins, the other has to look again', async () => {
    const { ledger } = await openLedger(engine);
    const want = (id: string) =>
      claimOne(ledger, id, (state) => ({
        connection: connectionRow(state),
        stored: { insert: [storedRow(id, '/x/same')] },
      }));
    const results = await Promise.allSettled([want('a'), want('b')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const failed = results.find((result) => result.status === 'rejected');
    expect(failed?.reason).toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      failure: 'unique',
      retryable: true,
    });
    expect(claimOf(await claimOne(ledger, 'c')).epoch).toBe(1);
  });
});
