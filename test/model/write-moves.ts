import { abandon, commitState, isFresh, mark, retiredRow, suspicion } from './commit.js';
import { comparesAndSets, expectedVersion, revisionText, type Step, type World } from './moves.js';
import { row, storeOf, type Actor, type State } from './state.js';
import { landRecords, TOKEN_IDS } from './store.js';

/**
 * From the claim to the offset: writing, committing, publishing (src/pipeline/event-processor.ts, claim.ts,
 * writer.ts, under-claim.ts; offsets: consumers/partition-run.ts).
 */

export function nameOf({ history }: World, { event }: Pick<Actor, 'event'>): string {
  const found = history.events[event];
  return found === undefined ? 'nothing' : `v${found.order} (${found.kind})`;
}

export function startWriting({ state, actor }: Step, world: World, isCopy = false): void {
  mark(state, actor.store);
  actor.phase = isCopy ? 'read' : 'put';
  // writer.ts requestKey: the same for the whole claim. Secrets Manager uses it as the id of the version.
  actor.version = world.rules('epoch-in-token') ? state.nextId : TOKEN_IDS + actor.event;
  state.nextId += 1;
  if (comparesAndSets(world, actor)) {
    // Such a store has no tokens. A known secret is expected to have its recorded version.
    actor.version = 0;
    actor.current = actor.plan?.known === true ? (actor.plan.own[actor.store]?.ver ?? 0) : 0;
  }
  if (!world.rules('order-of-effects') && actor.after >= 0) commitOffset(state, world, actor.after);
}

/** After an event: its offset, or nothing. A kill in between has the effect of a redelivery, which is another fault. */
export function finish(step: Step, world: World): void {
  if (step.actor.after >= 0) commitOffset(step.state, world, step.actor.after);
  step.end();
}

export function commitNow(
  { state, actor }: Step,
  world: World,
  plan: NonNullable<Actor['plan']>,
  version: number | null,
): void {
  commitState(state, actor, plan, version, world.rules);
  actor.phase = 'publish';
  actor.plan = world.rules('retire-in-commit') ? null : plan;
  if (!world.rules('publish-under-claim')) state.claim.held = false;
}

/** claim.ts admitWrite: renews the claim if its epoch is the newest, then checks the time. Null: another holder has it. */
export function admit({ state, actor }: Step, world: World): 'admitted' | 'renewed' | null {
  if (isFresh(state, actor) || !world.rules('claim-before-write')) return 'admitted';
  if (state.claim.epoch !== actor.epoch) return null;
  state.claim.held = true;
  actor.isRenewed = world.longClaims;
  return 'renewed';
}

/** If a claim is renewed for too long, its marks end before its own requests stop being late. */
export function epochOf({ epoch, isRenewed }: Actor): number {
  return isRenewed ? epoch + 0.5 : epoch;
}

export function put(step: Step, world: World): void {
  const { actor } = step;
  const { plan } = actor;
  const admitted = admit(step, world);
  if (admitted === null) {
    leave(step, 'finds its claim lost and gives up');
    return;
  }
  if (admitted === 'renewed') {
    step.emit(() => 'renews its claim, which nobody has taken');
    return;
  }
  if (plan?.value == null) return;
  const id = actor.version;
  actor.request = {
    op: plan.known ? 'put' : 'create',
    epoch: epochOf(actor),
    store: actor.store,
    value: plan.value,
    id,
    expected: expectedVersion(world, actor),
  };
  actor.phase = 'putWait';
  step.emit(() => `sends ${plan.known ? 'put' : 'create'} ${plan.value}`);
}

/** vault/store.ts #putExisting: another version is current than was expected, so it writes over that one. */
export function look(step: Step): void {
  const { state, actor } = step;
  actor.current = storeOf(state, actor.store).current;
  actor.phase = 'put';
  step.emit(() => 'looks at which version is current');
}

/** writer.ts write: it is answered, refused after a part of the writes, failed for certain, or has an unknown outcome. */
export function answerPut(step: () => Step, world: World): void {
  const answered = step();
  const answer = answered.land(world);
  const { actor } = answered;
  if (answer.kind === 'ok') {
    actor.version = answer.version;
    actor.phase = 'commit';
    answered.emit(() => `gets its answer: ${actor.plan?.value} is current`);
    const refusals = actor.job === 'migrate' ? (['refused'] as const) : (['refused', 'waiting'] as const);
    for (const refusal of refusals) {
      refusePart(step(), world, refusal);
      refuseAll(step(), refusal);
    }
  } else if (answer.kind === 'changed') {
    actor.phase = 'look';
    answered.emit(() => 'is told: changed');
  } else {
    actor.plan = { ...(actor.plan as NonNullable<Actor['plan']>), known: answer.kind === 'exists' };
    actor.phase = 'put';
    answered.emit(() => `is told: ${answer.kind}`);
  }
  throttle(step());
  timeOut(step(), world);
}

/** mover.ts leaves the name to the next claim. An event takes its mark back, and comes again. */
function throttle(step: Step): void {
  if (!step.spendFault()) return;
  const { state, actor } = step;
  actor.request = null;
  if (actor.job === 'migrate') {
    state.claim.held = state.claim.held && state.claim.epoch !== actor.epoch;
    leave(step, 'is throttled (nothing was applied), releases its claim, will try again');
    return;
  }
  actor.phase = 'abandon';
  actor.refusal = 'again';
  step.emit(() => 'is throttled: nothing was applied');
}

/** Another field's write is refused after this one's has been applied. */
function refusePart(step: Step, world: World, refusal: 'refused' | 'waiting'): void {
  if (!step.spendFault()) return;
  step.land(world);
  step.actor.hasApplied = true;
  abandonAs(step.actor, refusal);
  step.emit(
    () => `has written, but another field of the event is ${refusal === 'refused' ? 'refused' : 'denied'}`,
  );
}

/** The store refuses the write (SECRET_NOT_OWNED, a quota), or refuses another field's write before it. */
function refuseAll(step: Step, refusal: 'refused' | 'waiting'): void {
  if (!step.spendFault()) return;
  step.actor.request = null;
  abandonAs(step.actor, refusal);
  step.emit(() => `is ${refusal === 'refused' ? 'refused' : 'denied'} by the store: nothing was applied`);
}

function abandonAs(actor: Actor, refusal: 'refused' | 'waiting'): void {
  actor.phase = 'abandon';
  actor.refusal = refusal === 'waiting' && actor.isLastTry ? 'refused' : refusal;
}

function timeOut(step: Step, world: World): void {
  if (!step.spendFault()) return;
  step.giveUp();
  if (!world.rules('claim-kept') && step.state.claim.epoch === step.actor.epoch)
    step.state.claim.held = false;
  if (world.rules('unknown-runs-out')) {
    leave(step, 'times out, the request is still on its way');
    return;
  }
  step.actor.phase = 'put';
  step.emit(() => 'times out, the request is still on its way; tries again under the same claim');
}

/** ledger.ts commit(): checks the epoch and the active manager, not the time. */
export function commit(step: Step, world: World): void {
  const { state, actor } = step;
  const { plan } = actor;
  if (plan === null) return;
  if (actor.store !== state.active) {
    leave(step, 'ends: MANAGER_MISMATCH');
    return;
  }
  const isLost = world.rules('epoch-at-commit') && state.claim.epoch !== actor.epoch;
  if (isLost) {
    leave(step, 'is refused the commit: its epoch is over');
    return;
  }
  if (actor.phase === 'abandon') {
    abandon(state, actor, plan, world.rules);
    if (actor.refusal === 'again') {
      state.claim.held = false;
      leave(step, 'takes its mark back, releases its claim, will try again');
      return;
    }
    actor.phase = 'publish';
    actor.plan = null;
    step.emit(() => `commits ${nameOf(world, actor)} as ${actor.refusal}`);
    return;
  }
  commitNow(step, world, plan, actor.version);
  step.emit(
    () =>
      `commits ${actor.job === 'migrate' ? 'the change of manager' : nameOf(world, actor)}, revision ${state.revision}`,
  );
}

/** under-claim.ts: a send starts only if the claim has time for it. */
export function publish(step: Step, world: World): void {
  const { state, actor } = step;
  if (actor.revisions.length === 0) {
    settle(step, world);
    return;
  }
  if (world.rules('publish-under-claim') && !isFresh(state, actor)) {
    leave(step, 'finds its claim has no time left for the send');
    return;
  }
  if (world.lateSends) {
    actor.request = { op: 'send', epoch: actor.epoch, store: 0, revisions: actor.revisions };
    actor.phase = 'sendWait';
    step.emit(() => `sends ${revisionText(actor.revisions)}`);
    return;
  }
  landRecords(state, actor.revisions);
  actor.phase = 'settle';
  step.emit(() => `publishes ${revisionText(actor.revisions)}`);
}

export function answerSend(step: () => Step, world: World): void {
  const answered = step();
  answered.land({ ...world });
  answered.actor.phase = 'settle';
  answered.emit(() => 'is told that the records are durable');
  const failed = step();
  if (!failed.spendFault()) return;
  failed.giveUp();
  leave(failed, 'gives the send up, which may still arrive; the claim stays');
}

/** ledger.ts settle(): marks the records as sent, and releases the claim if its epoch is still the newest. */
export function settle(step: Step, world: World): void {
  const { state, actor } = step;
  const { revisions, after } = actor;
  state.unsent = state.unsent.filter((revision) => !revisions.includes(revision));
  const isNewest = state.claim.epoch === actor.epoch;
  if (isNewest) state.claim.held = false;
  if (revisions.some((revision) => revision > 0) && (isNewest || !world.rules('epoch-at-mark')))
    state.unpublished = false;
  const hasWaiting = state.kept.includes('waiting') && actor.job === 'event';
  if (actor.plan !== null) actor.phase = 'retire';
  else if (hasWaiting && !world.rules('durable-scan')) actor.phase = 'next';
  else finish(step, world);
  step.emit(
    () =>
      `marks ${revisionText(revisions)} as sent, releases its claim${after >= 0 ? ', commits the offset' : ''}`,
  );
}

export function retire(step: Step, world: World): void {
  const { state, actor } = step;
  actor.plan?.own.forEach((own, store) => {
    if (state.reference?.store === store) return;
    const after = retiredRow(row(state, store), suspicion(own, actor.epoch, world.rules), world.rules);
    if (after !== null) state.rows[store] = after;
  });
  finish(step, world);
  step.emit(() => 'retires what the new state does not use, and is done');
}

function commitOffset(state: State, { history }: World, event: number): void {
  const found = history.events[event];
  if (found === undefined) return;
  const { partition, offset } = found;
  state.offsets[partition] = Math.max(state.offsets[partition] ?? 0, offset + 1);
}

export function leave(step: Step, text: string): void {
  step.end();
  step.emit(() => text);
}
