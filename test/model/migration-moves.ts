import { planOf, takeClaim } from './commit.js';
import { decideMove } from './decide.js';
import { Step, type Emit, type World } from './moves.js';
import { copyState, row, storeOf, type Actor, type State } from './state.js';
import { commitNow, startWriting } from './write-moves.js';

/**
 * The change of manager. The setting changes at once, and workers of the old manager stop at their next transaction. The
 * next event of the connection moves it in its own commit. Without an event the migration does the same. A value that stays
 * is copied: its recorded version is read, written under the new manager, and committed with its own fingerprint and order.
 * That commit retires the old name.
 */

/** A start under another manager. Threads of the old one go on until their next claim or commit reads the setting. */
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

/** mover.ts and move.ts: without an event they do what an event does with a field that it does not set. */
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

/** Reads the value to copy: the recorded version, even if another is current. */
export function read(before: State, index: number, world: World, emit: Emit): void {
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  const from = 1 - actor.store;
  const { versions, current } = storeOf(state, from);
  const wanted = world.rules('recorded-version') ? row(state, from).ver : current;
  const found = versions.find(({ id }) => id === wanted);
  if (found === undefined) {
    // A thread whose claim has expired may find anything, because its commit would be refused.
    if (state.claim.epoch === actor.epoch) state.broken = 'the recorded version is gone';
    step.end();
    step.emit(() => 'does not find the recorded version');
    return;
  }
  actor.plan = { ...(actor.plan as NonNullable<Actor['plan']>), value: found.value };
  actor.phase = 'put';
  step.emit(() => `reads ${found.value} to copy it`);
}
