import { expect, it } from 'vitest';
import { Group } from '../../../src/pipeline/group.js';
import type { CommitRequest, CommitResult, LockedState } from '../../../src/pipeline/ledger.js';
import { queryDatabase, waitFor } from '../../harness/index.js';
import {
  applied,
  claimOf,
  claimOne,
  claimRequest,
  connectionRow,
  describeEngines,
  execute,
  ledgerOn,
  openLedger,
  storedRow,
} from './support.js';

const EXPIRE = 'UPDATE connection SET claim_expires_at_ms = 1';

describeEngines('claims', (engine) => {
  it('one holder: another is told how long; each claim has a new epoch', async () => {
    const { ledger } = await openLedger(engine);
    const claim = claimOf(await claimOne(ledger, 'c'));
    const busy = await claimOne(ledger, 'c');
    expect(busy).toMatchObject({ kind: 'busy' });
    expect(busy.kind === 'busy' && busy.waitMs).toBeGreaterThan(14_000);
    expect(busy.kind === 'busy' && busy.waitMs).toBeLessThanOrEqual(15_000);
    await ledger.settle([{ claim, sentIds: [], isPublished: false }]);
    expect(claimOf(await claimOne(ledger, 'c')).epoch).toBe(claim.epoch + 1);
  });

  it('expires by the database’s clock, never before its holder’s own deadline', async () => {
    const { database } = await openLedger(engine);
    const ledger = await ledgerOn(database, 400);
    const { deadlineMs } = claimOf(await claimOne(ledger, 'c'));
    await waitFor(async () => (await claimOne(ledger, 'c')).kind === 'committed', {
      what: 'the claim’s end',
      intervalMs: 10,
    });
    expect(performance.now()).toBeGreaterThan(deadlineMs);
  });

  it('a commit of an older epoch writes nothing', async () => {
    const { ledger, database } = await openLedger(engine);
    const old = claimOf(await claimOne(ledger, 'c'));
    await execute(database, EXPIRE);
    const current = claimOf(
      await claimOne(ledger, 'c', (state) => ({ connection: connectionRow(state, { name: 'new' }) })),
    );
    const [row] = await database.run(({ manager, tables }) => manager.find(tables.connection));
    if (row === undefined) throw new Error('no row');
    const late = { connection: { ...row, name: 'old' } };
    expect(await ledger.commit([{ claim: old, changes: late }])).toEqual([null]);
    expect((await database.run(({ manager, tables }) => manager.find(tables.connection)))[0]?.name).toBe(
      'new',
    );
    const renamed = {
      connection: { ...row, name: 'newest', claimOwner: null, claimEpoch: 0, claimExpiresAtMs: 0 },
    };
    expect(await ledger.commit([{ claim: current, changes: renamed }])).toEqual([
      { unsent: [], hasWaiting: false },
    ]);
    expect(await claimOne(ledger, 'c')).toMatchObject({ kind: 'busy' });
  });

  it('a claim that has expired but that nobody has taken still commits', async () => {
    const { ledger, database } = await openLedger(engine);
    const claim = claimOf(await claimOne(ledger, 'c'));
    await execute(database, EXPIRE);
    expect(await ledger.commit([{ claim, changes: {} }])).toEqual([{ unsent: [], hasWaiting: false }]);
  });

  it('settle releases its own epoch only, and renew extends it only', async () => {
    const { ledger, database } = await openLedger(engine);
    const old = claimOf(await claimOne(ledger, 'c'));
    await execute(database, EXPIRE);
    const current = claimOf(await claimOne(ledger, 'c'));
    await ledger.settle([{ claim: old, sentIds: [], isPublished: false }]);
    expect(await claimOne(ledger, 'c')).toMatchObject({ kind: 'busy' });
    expect(await ledger.renew(old)).toBeNull();
    await execute(database, EXPIRE);
    const renewed = await ledger.renew(current);
    expect(renewed?.deadlineMs).toBeGreaterThan(current.deadlineMs);
    expect(renewed?.epoch).toBe(current.epoch);
    expect(await claimOne(ledger, 'c')).toMatchObject({ kind: 'busy' });
  });

  it('settle marks the newest revision as published under its own epoch only', async () => {
    const { ledger, database, url } = await openLedger(engine);
    const unpublished = (state: LockedState) => ({
      connection: connectionRow(state, { unpublishedSinceMs: state.nowMs }),
    });
    const since = async (): Promise<unknown> =>
      (await queryDatabase({ url }, 'SELECT unpublished_since_ms AS since FROM connection'))[0]?.['since'];
    const old = claimOf(await claimOne(ledger, 'c', unpublished));
    await execute(database, EXPIRE);
    const current = claimOf(await claimOne(ledger, 'c', unpublished));
    await ledger.settle([{ claim: old, sentIds: [], isPublished: true }]);
    expect(await since()).not.toBeNull();
    await execute(database, EXPIRE);
    expect(await ledger.unsent(10)).toEqual({ connectionIds: ['c'], rows: [] });
    await ledger.settle([{ claim: current, sentIds: [], isPublished: true }]);
    expect(await since()).toBeNull();
    expect(await ledger.unsent(10)).toEqual({ connectionIds: [], rows: [] });
  });

  it('in one group each connection is claimed once, and a poisonous one harms only itself', async () => {
    const { ledger } = await openLedger(engine);
    const twice = await ledger.claim([
      claimRequest('c', () => ({ kind: 'commit', outcome: applied, changes: {} })),
      claimRequest('c', () => ({ kind: 'commit', outcome: applied, changes: {} })),
    ]);
    expect(twice.map(({ kind }) => kind)).toEqual(['committed', 'busy']);
    const claims = await Promise.all(['x', 'y', 'z'].map(async (id) => claimOf(await claimOne(ledger, id))));
    const group = new Group<CommitRequest, CommitResult | null>((requests) => ledger.commit(requests));
    const results = await Promise.allSettled(
      claims.map((claim) => {
        const poison = { inbox: { eventHash: null as never } as never };
        return group.add({ claim, changes: claim.connectionId === 'y' ? poison : {} });
      }),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('in one transaction the later decision sees which names the earlier one has taken', async () => {
    const { ledger } = await openLedger(engine);
    const seen: string[][] = [];
    const want = (id: string) =>
      claimRequest(
        id,
        ({ foreign }) => {
          seen.push(foreign.map(({ connectionId, state }) => `${connectionId} ${state}`));
          const insert = foreign.length === 0 ? [storedRow(id, '/x/same', { state: 'writing' })] : [];
          return { kind: 'write', plan: id, changes: { stored: { insert } } };
        },
        { secretIds: () => ['/x/same'] },
      );
    expect((await ledger.claim([want('a'), want('b')])).map(({ kind }) => kind)).toEqual([
      'writing',
      'writing',
    ]);
    expect(seen).toEqual([[], ['a writing']]);
  });

  it('many claims of many workers at the same time, in opposite orders: no deadlock remains', async () => {
    const { ledger, database } = await openLedger(engine);
    const other = await ledgerOn(database);
    const ids = Array.from({ length: 20 }, (_, index) => `c${index}`);
    const request = (id: string) =>
      claimRequest(id, () => ({ kind: 'settle', outcome: applied, changes: {} }));
    const rounds = Array.from({ length: 6 }, (_, round) =>
      (round % 2 === 0 ? ledger : other).claim((round % 2 === 0 ? ids : [...ids].reverse()).map(request)),
    );
    for (const results of await Promise.all(rounds))
      expect(results.every(({ kind }) => kind === 'settled')).toBe(true);
  });

  it('MANAGER_MISMATCH: nothing is claimed or committed once the manager was changed', async () => {
    const { ledger, database } = await openLedger(engine);
    const claim = claimOf(await claimOne(ledger, 'c'));
    await execute(database, `UPDATE setting SET value = '2' WHERE name = 'manager_epoch'`);
    await expect(ledger.commit([{ claim, changes: {} }])).rejects.toMatchObject({ code: 'MANAGER_MISMATCH' });
    await expect(claimOne(ledger, 'd')).rejects.toMatchObject({ code: 'MANAGER_MISMATCH' });
  });
});
