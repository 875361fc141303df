import { describe, expect, it } from 'vitest';
import type { ReferenceRow, StoredSecretRow } from '../../../src/database/rows.js';
import { planTidying } from '../../../src/upkeep/tidy-plan.js';
import type { LockedState } from '../../../src/pipeline/ledger.js';

const NOW = 1_000_000;
const PAST = NOW - 1;
const FUTURE = NOW + 1;
const ID = '/openmetadata/database/x/password';
const RULES = { manager: 'in-memory', graceMs: 500, lateRequestMs: 60 } as const;

function stored(row: Partial<StoredSecretRow>): StoredSecretRow {
  return {
    manager: 'in-memory',
    secretIdHash: 'hash',
    secretId: ID,
    connectionId: 'c',
    state: 'live',
    epoch: 3,
    version: 'v1',
    suspectUntilMs: null,
    dueAtMs: null,
    updatedAtMs: 1,
    ...row,
  };
}

function plan(row: Partial<StoredSecretRow>, { isUsed = false, isNamed = false, keptIn = 'in-memory' } = {}) {
  const reference = { secretId: ID } as ReferenceRow;
  const state = {
    nowMs: NOW,
    nextEpoch: 4,
    stored: [stored(row)],
    references: isUsed ? [reference] : [],
    connection: { manager: keptIn },
    namedUnder: new Map(isUsed || isNamed ? [[ID, [keptIn]]] : []),
  } as unknown as LockedState;
  const { rows, abandoned, deletions, repairs } = planTidying(state, RULES);
  return { rows: [...rows], abandoned: abandoned.length, deletions: [...deletions], repairs: repairs.length };
}

const NOTHING = { rows: [], abandoned: 0, deletions: [], repairs: 0 };

describe('the plan for one stored secret', () => {
  it.each<[string, Partial<StoredSecretRow>]>([
    ['live', {}],
    ['live, in doubt, requests may still land', { suspectUntilMs: FUTURE }],
    ['retired, within its grace', { state: 'retired', dueAtMs: FUTURE }],
    ['retired, past its grace, but in doubt', { state: 'retired', dueAtMs: PAST, suspectUntilMs: FUTURE }],
    ['deleting, its request may still land', { state: 'deleting', dueAtMs: FUTURE }],
    ['deleted', { state: 'deleted', version: null }],
    ['of another manager', { manager: 'local', state: 'retired', dueAtMs: PAST }],
  ])('%s: nothing', (_, row) => {
    expect(plan(row)).toEqual(NOTHING);
  });

  it.each<[string, Partial<StoredSecretRow>]>([
    ['retired and past its grace', { state: 'retired', dueAtMs: PAST }],
    ['deleting, and nobody knows whether it was', { state: 'deleting', dueAtMs: PAST }],
  ])('%s: deleted, marked first until no request can land any more', (_, row) => {
    const deletion = stored({ state: 'deleting', epoch: 4, dueAtMs: NOW + 60, updatedAtMs: NOW });
    expect(plan(row)).toEqual({ ...NOTHING, deletions: [deletion] });
  });

  it('retired, after its grace period, but named by a field: gets another grace period', () => {
    const row = { state: 'retired', dueAtMs: PAST } as const;
    expect(plan(row, { isNamed: true })).toEqual({
      ...NOTHING,
      rows: [stored({ ...row, dueAtMs: NOW + 500 })],
    });
  });

  it('retired in a former store: a field that has the name in another store does not prevent the deletion', () => {
    const row = { state: 'retired', dueAtMs: PAST } as const;
    expect(plan(row, { isUsed: true, keptIn: 'local' }).deletions).toHaveLength(1);
  });

  it('left as writing in a former store: retired, whatever its fields are called', () => {
    const [row] = plan({ state: 'writing' }, { isUsed: true, keptIn: 'local' }).rows;
    expect(row?.state).toBe('retired');
  });

  it('live, in doubt, no request can land any more: compared with the store', () => {
    expect(plan({ suspectUntilMs: PAST }, { isUsed: true })).toEqual({ ...NOTHING, repairs: 1 });
  });

  it('retired, no request can land any more: no longer in doubt, deleted in the next round', () => {
    const row = { state: 'retired', dueAtMs: PAST } as const;
    const next = stored({ ...row, updatedAtMs: NOW });
    expect(plan({ ...row, suspectUntilMs: PAST })).toEqual({ ...NOTHING, rows: [next] });
  });

  it.each([
    [true, { state: 'live', dueAtMs: null }, 0],
    [false, { state: 'retired', dueAtMs: NOW + 500 }, 1],
  ] as const)('left as writing (in use: %s): in doubt', (isUsed, end, abandoned) => {
    const next = stored({ ...end, epoch: 4, suspectUntilMs: NOW + 60, updatedAtMs: NOW });
    expect(plan({ state: 'writing' }, { isUsed })).toEqual({ ...NOTHING, rows: [next], abandoned });
  });
});
