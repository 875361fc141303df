import { carryOut, relay, tidy } from './janitor-moves.js';
import { proceed, takeUp } from './event-moves.js';
import { changeManager, migrate, read } from './migration-moves.js';
import { kindOf, requestText, Step, type Emit, type World } from './moves.js';
import { land } from './store.js';
import { copyState, type State } from './state.js';

/** Everything that may happen next: a step of a thread, a kill, a request that arrives or never does, a claim that expires. */
export function successors(state: State, world: World, emit: Emit): void {
  state.actors.forEach(({ phase }, index) => {
    if (phase === 'idle') {
      takeUp(state, index, world, emit);
      relay(state, index, world, emit);
      tidy(state, index, world, emit);
      migrate(state, index, world, emit);
      return;
    }
    if (phase === 'read') read(state, index, world, emit);
    else if (JANITOR.has(phase)) carryOut(state, index, world, emit);
    else proceed(state, index, world, emit);
    kill(state, index, emit);
  });
  arrivals(state, world, emit);
  expire(state, emit);
  changeManager(state, emit);
}

const JANITOR: ReadonlySet<string> = new Set([
  'delete',
  'deleteWait',
  'describe',
  'restore',
  'restoreWait',
  'tidied',
]);

/** SIGKILL; a new process takes the place of the killed one. */
function kill(before: State, index: number, emit: Emit): void {
  if (before.faultsLeft === 0) return;
  const step = new Step(before, index, emit);
  step.spendFault();
  step.giveUp();
  step.end();
  step.emit(() => 'is killed and starts again');
}

/** A request that was given up still arrives, or never does. */
function arrivals(before: State, world: World, emit: Emit): void {
  before.late.forEach((request, place) => {
    const arrived = copyState(before);
    arrived.late.splice(place, 1);
    land(arrived, request.op === 'send' ? 'ssm' : kindOf(world, request), request);
    emit(arrived, () => `the late ${requestText(request)} of epoch ${Math.floor(request.epoch)} arrives`);
    const lost = copyState(before);
    lost.late.splice(place, 1);
    emit(lost, () => `the late ${requestText(request)} of epoch ${Math.floor(request.epoch)} is lost`);
  });
}

/** A claim expires: without a fault if its holder is gone, and as a fault (the process was stopped) if the holder lives. */
function expire(before: State, emit: Emit): void {
  if (!before.claim.held) return;
  const state = copyState(before);
  state.claim.held = false;
  const holder = before.actors.find(
    ({ phase, epoch }) => phase !== 'idle' && phase !== 'planned' && epoch === before.claim.epoch,
  );
  if (holder === undefined) {
    emit(state, () => `the claim of epoch ${before.claim.epoch} runs out`);
    return;
  }
  if (state.faultsLeft === 0) return;
  state.faultsLeft -= 1;
  emit(state, () => `${holder.name} is stopped (SIGSTOP) until its claim has run out`);
}
