import { isFresh, takeClaim } from './commit.js';
import { admit, epochOf, leave } from './write-moves.js';
import { comparesAndSets, expectedVersion, kindOf, Step, type Emit, type World } from './moves.js';
import { isOver, row, storeOf, toPublish, type Actor, type Row, type State } from './state.js';

/** The steps of the janitor (src/upkeep/tidy-plan.ts decides, janitor.ts acts) and of the relay (src/pipeline/relay.ts). */

/** relay.ts: publishes committed, unsent records of connections without a claim. */
export function relay(before: State, index: number, world: World, emit: Emit): void {
  if (!world.rules('relay') || before.claim.held || toPublish(before).length === 0) return;
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  takeClaim(state, actor);
  Object.assign(actor, { job: 'relay', phase: 'publish', store: state.active, revisions: toPublish(state) });
  step.emit(() => `claims as relay (epoch ${actor.epoch})`);
}

/** `untidy` and `planTidying`: one round for each manager that still has a row. */
export function tidy(before: State, index: number, world: World, emit: Emit): void {
  if (before.claim.held && world.rules('janitor-claim')) return;
  before.rows.forEach((own, store) => {
    const isUsed = before.reference?.store === store;
    const step = new Step(before, index, emit);
    const { actor } = step;
    Object.assign(actor, { job: 'janitor', store: step.state.active, rowOf: store });
    if (own.st === 'writing' && world.rules('writing-retired')) cleanUp(step, world, own, isUsed);
    else if (own.st === 'live' && own.sus !== 0 && isOver(before, own.sus)) startRepair(step, world, own);
    else if (own.st === 'retired' && own.sus !== 0 && isOver(before, own.sus)) clear(step, world, own);
    else if (own.st === 'retired' && own.sus === 0 && !isUsed) startDeletion(step, world, own);
    else if (own.st === 'deleting' && own.sus === 0 && !isUsed && isOver(before, own.due))
      startDeletion(step, world, own);
  });
}

function claim({ state, actor }: Step, world: World): void {
  if (world.rules('janitor-claim')) takeClaim(state, actor);
  else actor.epoch = state.claim.epoch;
}

/** tidy-plan.ts leftover(): commits without requests, then publishes. */
function cleanUp(step: Step, world: World, own: Row, isUsed: boolean): void {
  const { state, actor } = step;
  claim(step, world);
  const sus = world.rules('suspect') ? actor.epoch : 0;
  state.rows[actor.rowOf] = { st: isUsed ? 'live' : 'retired', ver: own.ver, sus, due: 0 };
  thenPublish(step);
  step.emit(() => `cleans up: the leftover name is ${isUsed ? 'live' : 'retired'} and in doubt`);
}

function clear(step: Step, world: World, own: Row): void {
  claim(step, world);
  step.state.rows[step.actor.rowOf] = { ...own, sus: 0 };
  thenPublish(step);
  step.emit(() => 'takes the retired name out of doubt: nothing can land any more');
}

function thenPublish({ state, actor }: Step): void {
  actor.phase = 'publish';
  actor.revisions = toPublish(state);
}

function startDeletion(step: Step, world: World, own: Row): void {
  const { state, actor } = step;
  claim(step, world);
  const marked: Row = { ...own, st: 'deleting', due: actor.epoch };
  state.rows[actor.rowOf] = marked;
  actor.row = marked;
  actor.phase = 'delete';
  step.emit(() => `claims as janitor (epoch ${actor.epoch}), the name is marked as deleting`);
}

function startRepair(step: Step, world: World, own: Row): void {
  const { state, actor } = step;
  claim(step, world);
  actor.row = { ...own };
  if (world.rules('repair-marked')) {
    actor.row = { ...own, sus: actor.epoch };
    state.rows[actor.rowOf] = { ...actor.row };
  }
  actor.phase = 'describe';
  step.emit(() => `claims as janitor (epoch ${actor.epoch}) to repair`);
}

/** The next step of the janitor. */
export function carryOut(before: State, index: number, world: World, emit: Emit): void {
  const { phase } = before.actors[index] as Actor;
  const step = (): Step => new Step(before, index, emit);
  switch (phase) {
    case 'delete': {
      remove(step(), world);
      return;
    }
    case 'deleteWait': {
      answerDelete(step, world);
      return;
    }
    case 'describe': {
      describe(step());
      return;
    }
    case 'restore': {
      restore(step(), world);
      return;
    }
    case 'restoreWait': {
      answerRestore(step, world);
      return;
    }
    case 'tidied': {
      commit(step(), world);
      return;
    }
    default:
      return;
  }
}

function rowOf({ row: own }: Actor): Row {
  if (own === null) throw new Error('the janitor has no row');
  return own;
}

function mayStart(step: Step, world: World): boolean {
  if (!world.rules('janitor-claim')) return true;
  const admitted = admit(step, world);
  if (admitted === null) leave(step, 'finds its claim lost and gives up');
  if (admitted === 'renewed') step.emit(() => 'renews its claim, which nobody has taken');
  return admitted === 'admitted';
}

/** A store's deletion looks at the secret first. */
function remove(step: Step, world: World): void {
  const { state, actor } = step;
  const own = rowOf(actor);
  if (storeOf(state, actor.rowOf).versions.length === 0) {
    tidied(step, { st: 'deleted', ver: 0, sus: own.sus, due: 0 });
    step.emit(() => 'finds nothing to delete');
    return;
  }
  if (!mayStart(step, world)) return;
  actor.request = { op: 'delete', epoch: epochOf(actor), store: actor.rowOf };
  actor.phase = 'deleteWait';
  step.emit(() => 'sends delete');
}

function tidied({ actor }: Step, after: Row, outcomeKnown = true): void {
  actor.row = after;
  actor.outcomeKnown = outcomeKnown;
  actor.phase = 'tidied';
}

function answerDelete(step: () => Step, world: World): void {
  const answered = step();
  answered.land(world);
  const own = rowOf(answered.actor);
  tidied(answered, { st: 'deleted', ver: 0, sus: own.sus, due: 0 });
  answered.emit(() => 'is told that the secret is deleted');
  const failed = step();
  if (failed.spendFault()) {
    failed.actor.request = null;
    tidied(failed, { ...own, st: 'retired', due: 0 });
    failed.emit(() => 'is throttled (nothing was deleted)');
  }
  const late = step();
  if (!late.spendFault()) return;
  late.giveUp();
  tidied(late, own, false);
  late.emit(() => 'times out, the delete is still on its way');
}

/** janitor.ts #repair */
function describe(step: Step): void {
  const { state, actor } = step;
  const own = rowOf(actor);
  const { current, versions } = storeOf(state, actor.rowOf);
  if (versions.length === 0) {
    tidied(step, own);
    actor.isLost = true;
    step.emit(() => 'finds nothing in the store: lost');
    return;
  }
  if (own.ver === 0 || current === own.ver) {
    tidied(step, { ...own, ver: current, sus: 0 });
    step.emit(() => 'finds the recorded version current');
    return;
  }
  actor.current = current;
  actor.phase = 'restore';
  step.emit(() => 'finds another version than the recorded one');
}

function restore(step: Step, world: World): void {
  const { state, actor } = step;
  const own = rowOf(actor);
  if (!mayStart(step, world)) return;
  const base = { epoch: epochOf(actor), store: actor.rowOf };
  const recorded = storeOf(state, actor.rowOf).versions.find(({ id }) => id === own.ver);
  if (recorded === undefined) {
    tidied(step, own);
    actor.isLost = true;
    step.emit(() => 'finds the recorded version gone');
    return;
  }
  const isPut = kindOf(world, base) !== 'secrets-manager';
  const expected = expectedVersion(world, { store: actor.rowOf, current: actor.current });
  actor.request = isPut
    ? {
        ...base,
        op: 'put',
        value: recorded.value,
        id: comparesAndSets(world, base) ? 0 : state.nextId,
        expected,
      }
    : { ...base, op: 'move', from: actor.current, to: own.ver };
  state.nextId += 1;
  actor.phase = 'restoreWait';
  step.emit(() =>
    isPut ? `sends put ${recorded.value}, to restore it` : 'sends the move of the current version',
  );
}

/** janitor.ts unrepaired(): the secret stays in doubt for longer. */
function answerRestore(step: () => Step, world: World): void {
  const answered = step();
  const own = rowOf(answered.actor);
  const answer = answered.land(world);
  const inDoubt: Row = { ...own, sus: answered.actor.epoch };
  if (answer.kind === 'ok') tidied(answered, { ...own, ver: answer.version, sus: 0 });
  else tidied(answered, inDoubt);
  answered.emit(() =>
    answer.kind === 'ok' ? 'is told that the version is restored' : `is told: ${answer.kind}`,
  );
  const failed = step();
  if (failed.spendFault()) {
    failed.actor.request = null;
    tidied(failed, inDoubt);
    failed.emit(() => 'is throttled (nothing was restored)');
  }
  const late = step();
  if (!late.spendFault()) return;
  late.giveUp();
  tidied(late, inDoubt, false);
  late.emit(() => 'times out, the request is still on its way');
}

/** janitor.ts #carryOut: commits, then publishes, and releases the claim unless a request may still land. */
function commit(step: Step, world: World): void {
  const { state, actor } = step;
  if (actor.store !== state.active) {
    leave(step, 'ends: MANAGER_MISMATCH');
    return;
  }
  const checks = world.rules('janitor-claim') && world.rules('epoch-at-commit');
  if (checks && state.claim.epoch !== actor.epoch) {
    leave(step, 'is refused the commit: its epoch is over');
    return;
  }
  state.rows[actor.rowOf] = rowOf(actor);
  actor.row = null;
  // What a thread saw after its claim expired does not matter if its commit is refused. If it commits, it must be true.
  if (actor.isLost) state.broken = 'the store has lost the recorded version of a live secret';
  const runsOut = !actor.outcomeKnown && world.rules('claim-kept');
  if (runsOut || (!world.rules('janitor-claim') && !isFresh(state, actor))) {
    const after = row(state, actor.rowOf).st;
    leave(step, `commits what it has done (${after}); the claim stays`);
    return;
  }
  thenPublish(step);
  step.emit(() => `commits what it has done: the name is ${row(state, actor.rowOf).st}`);
}
