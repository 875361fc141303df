import { planOf, takeClaim } from './commit.js';
import { decideMove } from './decide.js';
import { Step, type Emit, type World } from './moves.js';
import { copyState, row, storeOf, type Actor, type State } from './state.js';
import { commitNow, startWriting } from './write-moves.js';

/**
 * The change of manager: the setting changes at once, workers of the old one stop at their next transaction. An event
 * that comes for the connection brings it along in its own commit; without one the migration does the same. What goes on
 * is copied: recorded version read, written under the new manager, committed with its own fingerprint and order; the old
 * name is retired in that commit.
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

/** mover.ts and move.ts: what an event does with a field that it does not set, with no event. */
export function migrate(before: State, index: number, world: World, emit: Emit): void {
  if (before.claim.held) return;
  const decision = decideMove(before, before.active);
  if (decision?.kind !== 'write' && decision?.kind !== 'commit') return;
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  takeClaim(state, actor);
  Object.assign(actor, { job: 'migrate', store: state.active });
  const known = decision.kind === 'write' && decision.known;
  const plan = planOf(state, decision.next, { value: null, known, store: actor.store });
  if (decision.kind === 'commit') {
    commitNow(step, world, plan, null);
    step.emit(() => 'claims to migrate and commits: there is no value to copy');
    return;
  }
  actor.plan = plan;
  startWriting(step, world, true);
  step.emit(() => `claims to migrate (epoch ${actor.epoch}), the name is recorded as writing`);
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
