import { mark, planOf, takeClaim } from './commit.js';
import { isKnown } from './decide.js';
import { Step, type Emit, type World } from './moves.js';
import { copyState, row, storeOf, type Actor, type State } from './state.js';

/**
 * The change of manager as it is designed: the setting changes at once, workers of the old one stop at their next
 * transaction, and before anything else is done with the connection its value is copied: recorded version read, written
 * under the new manager, committed with its own fingerprint; the old name is retired in that commit.
 */

/** A start under another manager. Threads of the old one go on until their next claim or commit asks the setting. */
export function changeManager(before: State, emit: Emit): void {
  if (before.movesLeft === 0) return;
  const state = copyState(before);
  state.movesLeft -= 1;
  state.active = 1 - state.active;
  emit(
    state,
    () =>
      `the active manager becomes number ${state.active}; workers of the other one end at their next claim or commit`,
  );
}

export function migrate(before: State, index: number, emit: Emit): void {
  const isForeign = before.manager !== -1 && before.manager !== before.active && before.status === 'live';
  if (!isForeign || before.claim.held || row(before, before.active).st === 'deleting') return;
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  takeClaim(state, actor);
  Object.assign(actor, { job: 'migrate', store: state.active });
  const { reference } = state;
  const moved = reference === null ? null : { ...reference, store: state.active };
  const next = { status: 'live', applied: state.applied, reference: moved, superseded: [] } as const;
  actor.plan = planOf(state, next, { value: null, known: isKnown(row(state, state.active)) });
  if (moved === null) {
    state.manager = state.active;
    actor.phase = 'publish';
    actor.plan = null;
    step.emit(() => 'claims to migrate: there is no value to copy');
    return;
  }
  mark(state, state.active);
  actor.version = state.nextId;
  state.nextId += 1;
  actor.phase = 'read';
  step.emit(() => `claims to migrate (epoch ${actor.epoch})`);
}

/** Reads what is to be copied: the recorded version, whatever is current. */
export function read(before: State, index: number, world: World, emit: Emit): void {
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  const from = 1 - actor.store;
  const { versions, current } = storeOf(state, from);
  const wanted = world.rules('recorded-version') ? row(state, from).ver : current;
  const found = versions.find(({ id }) => id === wanted);
  if (found === undefined) {
    // A thread whose claim is over may find anything: its commit would be refused.
    if (state.claim.epoch === actor.epoch) state.broken = 'the recorded version is gone';
    step.end();
    step.emit(() => 'does not find the recorded version');
    return;
  }
  actor.plan = { ...(actor.plan as NonNullable<Actor['plan']>), value: found.value };
  actor.phase = 'put';
  step.emit(() => `reads ${found.value} to copy it`);
}
