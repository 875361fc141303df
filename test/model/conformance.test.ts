import { describe, expect, it } from 'vitest';
import type { StoredSecretRow } from '../../src/database/rows.js';
import { UnderClaim } from '../../src/pipeline/under-claim.js';
import { Janitor, type JanitorParts } from '../../src/upkeep/janitor.js';
import { planTidying, type TidyPlan } from '../../src/upkeep/tidy-plan.js';
import type { ClaimRequest, Ledger } from '../../src/pipeline/ledger.js';
import { decideEvent } from '../../src/pipeline/plan.js';
import type { Stored } from '../../src/secrets-managers/port.js';
import { providerOf } from '../../src/secrets-managers/providers.js';
import { EventError } from '../../src/errors.js';
import { CONNECTION, PASSWORD_ID } from '../components/pipeline/events.js';
import { abandon, commitState, mark, planOf } from './commit.js';
import { decide, type Decision } from './decide.js';
import { explore } from './explore.js';
import { HISTORIES, parseHistory, type History } from './history.js';
import { tidy } from './janitor-moves.js';
import type { World } from './moves.js';
import {
  GRACE_MS,
  LATE_MS,
  modelChanges,
  modelRow,
  NEW_EPOCH,
  realContext,
  realEvents,
  realState,
} from './real.js';
import { STORE_KINDS } from './store.js';
import { copyState, initialState, toPublish, type Row, type State } from './state.js';

const ALL = (): boolean => true;
const context = realContext();
const TIMEOUT_MS = 120_000;

/** Every distinct situation in which the code decides, from all states of one history that one fault can lead to. */
function decisionStates(history: History): State[] {
  const world: World = { history, stores: ['ssm'], rules: ALL, lateSends: false, longClaims: false };
  const found = new Map<string, State>();
  explore(world, { faults: 1, moves: 0, maxStates: 50_000 }, (state) => {
    if (state.claim.held) return;
    const { st, ver, sus } = state.rows[0] as Row;
    const { applied, status, reference, inbox, kept } = state;
    const parts = [
      applied,
      status,
      reference,
      st,
      ver > 0,
      sus > 0,
      inbox,
      kept,
      toPublish(state).length > 0,
    ];
    found.set(JSON.stringify(parts), state);
  });
  return [...found.values()];
}

const WORDS: Record<Decision['kind'], string> = {
  settle: 'settle',
  acknowledge: 'commit',
  refuse: 'commit',
  commit: 'commit',
  write: 'write',
  later: 'later',
};

describe('the model decides as the code does, in every state of the exploration', () => {
  it.each(HISTORIES)(
    '%s',
    (text) => {
      const history = parseHistory(text);
      const states = decisionStates(history);
      expect(states.length).toBeGreaterThan(10);
      for (const isLastTry of [false, true]) {
        const events = realEvents(history, context, isLastTry);
        for (const state of states)
          for (const number of history.events.keys())
            compareDecisions(state, history, events, number, isLastTry);
      }
    },
    TIMEOUT_MS,
  );
});

function compareDecisions(
  state: State,
  history: History,
  events: ReturnType<typeof realEvents>,
  number: number,
  isLastTry: boolean,
): void {
  const prepared = events[number];
  if (prepared === undefined) throw new RangeError(`no event ${number}`);
  const modelled = decide(state, history, number, ALL, { isLastTry, store: 0 });
  const real = decideEvent(prepared, realState(state, events, number, context), context);
  const where = `v${number + 1} of ${history.text} in ${JSON.stringify(state)}`;
  expect(real.kind, where).toBe(WORDS[modelled.kind]);
  if (real.kind === 'later' || modelled.kind === 'later') return;
  if (!('next' in modelled)) {
    if (real.kind === 'write') throw new Error(where);
    expect(real.outcome.name, where).toBe(modelled.outcome);
    expect(real.changes.connection, where).toBeUndefined();
    expect(real.changes.stored, where).toBeUndefined();
    return;
  }
  const own = state.rows[0] as Row;
  const after = copyState(state);
  const [actor] = after.actors;
  if (actor === undefined) throw new Error('no thread');
  Object.assign(actor, { event: number, epoch: NEW_EPOCH });
  const plan = planOf(after, modelled.next, {
    value: null,
    known: modelled.kind === 'write' && modelled.known,
    store: 0,
  });
  if (real.kind !== 'write' || modelled.kind !== 'write') {
    if (real.kind !== 'commit') throw new Error(where);
    commitState(after, actor, plan, null, ALL);
    compareCommits(after, own, real.changes, events, number, where);
    return;
  }
  // As in the code, the plan looks at the rows before the marks.
  mark(after, 0);
  expect(modelRow(own, real.changes.stored), `${where}: marks`).toEqual(after.rows[0]);
  expect(
    real.plan.writes.map(({ secretId, known }) => [secretId, known]),
    where,
  ).toEqual([[PASSWORD_ID, modelled.known]]);
  for (const answer of ['applied', 'refused'] as const) {
    actor.hasApplied = answer === 'applied';
    const given = { elapsedMs: 0, answers: new Map([[PASSWORD_ID, answer]]) };
    const changes = real.plan.refuse(new EventError('VALUE_REFUSED_BY_STORE', ''), given);
    compareAbandoned(after, plan, changes, `${where}, ${answer}`, own);
  }
  actor.hasApplied = false;
  const back = real.plan.giveBack({ elapsedMs: 0, answers: new Map([[PASSWORD_ID, 'refused' as const]]) });
  const given = copyState(after);
  const [again] = given.actors;
  if (again === undefined) throw new Error('no thread');
  again.refusal = 'again';
  abandon(given, again, plan, ALL);
  expect(modelRow(own, back.stored), `${where}: given back`).toEqual(given.rows[0]);
  expect(Object.keys(back), where).toEqual(['stored']);
  commitState(after, actor, plan, 77, ALL);
  const stored: Stored = { reference: `secret:${PASSWORD_ID}`, version: '77', effect: 'changed' };
  compareCommits(
    after,
    own,
    real.plan.finish({ stored: new Map([[PASSWORD_ID, stored]]), copied: new Map() }),
    events,
    number,
    where,
  );
}

function compareAbandoned(
  before: State,
  plan: ReturnType<typeof planOf>,
  changes: Parameters<typeof modelChanges>[0],
  where: string,
  own: Row,
): void {
  const after = copyState(before);
  const [actor] = after.actors;
  if (actor === undefined) throw new Error('no thread');
  actor.refusal = 'refused';
  abandon(after, actor, plan, ALL);
  expect(modelRow(own, changes.stored), `${where}: abandoned`).toEqual(after.rows[0]);
  expect(changes.inbox?.outcome, where).toBe('refused');
}

function compareCommits(
  after: State,
  own: Row,
  changes: Parameters<typeof modelChanges>[0],
  events: ReturnType<typeof realEvents>,
  number: number,
  where: string,
): void {
  const { status, applied, revision, reference, inbox, removed } = modelChanges(changes, events);
  expect(modelRow(own, changes.stored), `${where}: stored`).toEqual(after.rows[0]);
  expect({ status, applied, revision, inbox }, where).toEqual({
    status: after.status,
    applied: after.applied,
    revision: after.revision,
    inbox: 'applied',
  });
  const { reference: expected } = after;
  expect(reference, where).toEqual(
    expected === null ? null : { order: expected.order, value: expected.value },
  );
  expect(removed, where).toContain(number);
  for (const [other, kept] of after.kept.entries()) if (removed.includes(other)) expect(kept, where).toBe('');
}

describe('the model tidies as the code does, whatever state a secret is in', () => {
  const rows = (['writing', 'live', 'retired', 'deleting', 'deleted'] as const).flatMap((st) =>
    [0, 3].flatMap((ver) => [0, 1].map((sus): Row => ({ st, ver, sus, due: st === 'deleting' ? 1 : 0 }))),
  );
  it.each(
    rows.flatMap((own) => [true, false].map((isUsed) => [own.st, own.ver, own.sus, isUsed, own] as const)),
  )('%s, version %d, mark %d, in use: %s', (_st, _ver, _sus, isUsed, own) => {
    const history = parseHistory('A|B');
    const state = initialState(2, { faults: 0, moves: 0 });
    Object.assign(state, { applied: 1, status: 'live', manager: 0, rows: [own], nextId: 9 });
    state.claim.epoch = NEW_EPOCH - 1;
    state.reference = isUsed ? { order: 1, value: 'A', store: 0 } : null;
    const world: World = { history, stores: ['ssm'], rules: ALL, lateSends: false, longClaims: false };
    let modelled: State | null = null;
    tidy(state, 0, world, (next) => (modelled = next));
    const locked = realState(state, realEvents(history, context, false), 0, context);
    // At a time when every mark and every grace is over.
    const stored = locked.stored.map((row) => ({
      ...row,
      suspectUntilMs: row.suspectUntilMs === null ? null : locked.nowMs,
      dueAtMs: row.dueAtMs === null ? null : locked.nowMs,
    }));
    const plan = planTidying(
      { ...locked, stored },
      { manager: 'in-memory', graceMs: GRACE_MS, lateRequestMs: LATE_MS },
    );
    const update = [...plan.rows, ...plan.deletions, ...plan.repairs];
    const after = (modelled as State | null)?.rows[0] ?? own;
    expect(modelRow(own, { update })).toEqual(after);
    const phase = (modelled as State | null)?.actors[0]?.phase ?? 'idle';
    const requests = phase === 'delete' ? 'deletion' : phase === 'describe' ? 'repair' : 'none';
    const planned = plan.deletions.length > 0 ? 'deletion' : plan.repairs.length > 0 ? 'repair' : 'none';
    expect(planned).toBe(requests);
  });
});

describe('the stores of the model differ in what the code says of them', () => {
  it.each([
    ['secrets-manager', 'managed-aws'],
    ['ssm', 'managed-aws-ssm'],
    ['vault', 'managed-vault'],
  ] as const)('%s is as %s', (kind, name) => {
    const capabilities = providerOf(name).capabilities;
    expect(capabilities).toMatchObject({ ...STORE_KINDS[kind], history: true, atomicCreate: true });
  });
});

describe('the transaction that claims renews the mark of a repair, before the request is sent', () => {
  it('a repair whose process dies is looked at again when its request can no longer land', async () => {
    const state = initialState(2, { faults: 0, moves: 0 });
    Object.assign(state, { applied: 1, status: 'live', rows: [{ st: 'live', ver: 3, sus: 1, due: 0 }] });
    state.reference = { order: 1, value: 'A', store: 0 };
    const locked = realState(state, realEvents(parseHistory('A|B'), context, false), 0, context);
    const stored = locked.stored.map((row) => ({ ...row, suspectUntilMs: locked.nowMs }));
    const written: (StoredSecretRow | undefined)[] = [];
    const ledger = {
      untidy: () => Promise.resolve([{ connectionId: CONNECTION, manager: 'in-memory' }]),
      claim: (requests: readonly ClaimRequest<TidyPlan>[]) => {
        const decision = requests[0]?.decide({ ...locked, stored });
        if (decision?.kind === 'write') written.push(...(decision.changes.stored?.update ?? []));
        return Promise.resolve([{ kind: 'busy', waitMs: 1 }] as const);
      },
    } as unknown as Ledger;
    const rules = { graceMs: GRACE_MS, lateRequestMs: LATE_MS } as const;
    const managers = { of: () => Promise.resolve(context.manager) };
    const underClaim = new UnderClaim({ ledger, outlet: null, context, clock: () => 0 });
    const parts = { ledger, underClaim, managers, rules, tokenKey: context.fingerprintKey };
    await new Janitor(parts as unknown as JanitorParts).run(new AbortController().signal);
    expect(written.map((row) => row?.suspectUntilMs)).toEqual([locked.nowMs + LATE_MS]);
  });
});
