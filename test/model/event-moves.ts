import { keepWaiting, planOf, refuse, takeClaim } from './commit.js';
import { decide, type Decision } from './decide.js';
import { Step, revisionText, type Emit, type World } from './moves.js';
import { toPublish, type Actor, type State } from './state.js';
import {
  answerPut,
  answerSend,
  commit,
  commitNow,
  finish,
  look,
  nameOf,
  publish,
  put,
  retire,
  settle,
  startWriting,
} from './write-moves.js';

/** The steps of one event: src/pipeline/event-processor.ts, writer.ts, under-claim.ts; offsets: consumers/partition-run.ts. */

/** An idle thread takes an event: a new record, a redelivered one, or a waiting event from the table. */
export function takeUp(before: State, index: number, world: World, emit: Emit): void {
  world.history.partitions.forEach((events, partition) => {
    const committed = before.offsets[partition] ?? 0;
    const isTaken = before.actors.some(
      ({ phase, after }) => phase !== 'idle' && world.history.events[after]?.partition === partition,
    );
    // consumers/watermark.ts: without it, finishing a later record would commit the offset of an unfinished earlier one.
    const ahead = world.rules('watermark') ? 1 : 2;
    events.slice(0, committed + ahead).forEach((event, offset) => {
      const isUnusual = offset < committed || (isTaken && offset === committed);
      if (offset > committed && !isTaken) return;
      begin(before, index, world, emit, { event, after: event, isLastTry: false, isFault: isUnusual });
    });
  });
  if (world.rules('durable-scan')) takeUpWaiting(before, index, world, emit, -1);
}

/** src/pipeline/pipeline.ts retryKept. The event's time may be over. */
export function takeUpWaiting(before: State, index: number, world: World, emit: Emit, after: number): void {
  before.kept.forEach((kept, event) => {
    if (kept !== 'waiting') return;
    begin(before, index, world, emit, { event, after, isLastTry: false, isFault: false });
    if (after === -1)
      begin(before, index, world, emit, { event, after, isLastTry: true, isFault: !isCalm(before, world) });
  });
}

/** Whether everything else is done, so that a waiting event has nothing left to wait for. */
function isCalm({ offsets, actors }: State, { history }: World): boolean {
  const isRead = history.partitions.every((events, partition) => offsets[partition] === events.length);
  return isRead && actors.every(({ phase }) => phase === 'idle');
}

interface Beginning {
  readonly event: number;
  readonly after: number;
  readonly isLastTry: boolean;
  readonly isFault: boolean;
}

function begin(before: State, index: number, world: World, emit: Emit, what: Beginning): void {
  if (before.claim.held && world.rules('plan-under-lock')) return;
  if (what.isFault && before.faultsLeft === 0) return;
  const step = new Step(before, index, emit);
  const { state, actor } = step;
  if (what.isFault) step.spendFault();
  Object.assign(actor, {
    job: what.after === -1 ? 'scan' : 'event',
    event: what.event,
    after: what.after,
    store: state.active,
    isLastTry: what.isLastTry,
  });
  if (!world.rules('plan-under-lock')) {
    const decision = decide(state, world.history, what.event, world.rules, actor);
    if (decision.kind === 'write' || decision.kind === 'commit') {
      actor.plan = planOf(state, decision.next, writeOf(decision, world, actor));
      actor.phase = 'planned';
      actor.version = decision.kind === 'write' ? 0 : -1;
      step.emit(() => `reads ${nameOf(world, actor)} and plans it, without a claim`);
      return;
    }
  }
  if (before.claim.held) return;
  claim(step, world, decide(state, world.history, what.event, world.rules, actor));
}

function writeOf(decision: Decision, { history }: World, { event, store }: Actor) {
  const kind = history.events[event]?.kind;
  const value = decision.kind === 'write' && (kind === 'A' || kind === 'B') ? kind : null;
  return { value, known: decision.kind === 'write' && decision.known, store };
}

/** ledger.ts claim(): one transaction under the row's lock. */
function claim(step: Step, world: World, decision: Decision): void {
  const { state, actor } = step;
  const name = nameOf(world, actor);
  switch (decision.kind) {
    case 'later':
      return;
    case 'settle':
      settleEvent(step, world, decision);
      {
        step.emit(() => `claims for ${name}: ${decision.outcome}, nothing to do`);
        return;
      }
    case 'acknowledge':
      takeClaim(state, actor, world.rules('commit-raises-epoch'));
      if (decision.remember) state.inbox[actor.event] = decision.outcome;
      state.kept[actor.event] = '';
      actor.revisions = toPublish(state);
      actor.phase = 'publish';
      {
        step.emit(
          () => `claims for ${name}: ${decision.outcome}, to publish ${revisionText(actor.revisions)}`,
        );
        return;
      }
    case 'refuse':
      takeClaim(state, actor, world.rules('commit-raises-epoch'));
      refuse(state, actor.event, decision.outcome);
      actor.revisions = toPublish(state);
      actor.phase = 'publish';
      {
        step.emit(() => `claims for ${name}: ${decision.outcome}`);
        return;
      }
    case 'commit': {
      takeClaim(state, actor, world.rules('commit-raises-epoch'));
      commitNow(
        step,
        world,
        planOf(state, decision.next, { value: null, known: false, store: actor.store }),
        null,
      );
      step.emit(() => `claims for ${name} and commits it without a write, revision ${state.revision}`);
      return;
    }
    case 'write': {
      takeClaim(state, actor);
      actor.plan = planOf(state, decision.next, writeOf(decision, world, actor));
      startWriting(step, world, decision.isCopy);
      step.emit(() => `claims for ${name} (epoch ${actor.epoch}), the name is recorded as writing`);
      return;
    }
  }
}

/** plan.ts #settle: takes no claim. */
function settleEvent(
  step: Step,
  world: World,
  { outcome, remember }: { outcome: string; remember: boolean },
): void {
  const { state, actor } = step;
  if (outcome === 'waiting') keepWaiting(state, actor.event);
  else {
    if (remember) state.inbox[actor.event] = outcome === 'stale' ? 'stale' : 'duplicate';
    state.kept[actor.event] = '';
  }
  finish(step, world);
}

/** The next step of an event. */
export function proceed(before: State, index: number, world: World, emit: Emit): void {
  const { phase } = before.actors[index] as Actor;
  const step = (): Step => new Step(before, index, emit);
  switch (phase) {
    case 'planned': {
      claimPlanned(step(), world);
      return;
    }
    case 'put': {
      put(step(), world);
      return;
    }
    case 'look': {
      look(step());
      return;
    }
    case 'putWait': {
      answerPut(step, world);
      return;
    }
    case 'commit':
    case 'abandon': {
      commit(step(), world);
      return;
    }
    case 'publish': {
      publish(step(), world);
      return;
    }
    case 'sendWait': {
      answerSend(step, world);
      return;
    }
    case 'settle': {
      settle(step(), world);
      return;
    }
    case 'retire': {
      retire(step(), world);
      return;
    }
    case 'next':
      takeUpWaiting(before, index, world, emit, (before.actors[index] as Actor).after);
      {
        stopTrying(step(), world);
        return;
      }
    default:
      return;
  }
}

function stopTrying(step: Step, world: World): void {
  finish(step, world);
  step.emit(() => 'has nothing more to try, commits the offset');
}

function claimPlanned(step: Step, world: World): void {
  const { state, actor } = step;
  const { plan } = actor;
  if (plan === null || state.claim.held || actor.store !== state.active) return;
  takeClaim(state, actor);
  if (actor.version === 0) {
    startWriting(step, world, plan.value === null);
    step.emit(() => `claims for ${nameOf(world, actor)} with its old plan`);
    return;
  }
  commitNow(step, world, { ...plan, revision: state.revision + 1 }, null);
  step.emit(() => `claims for ${nameOf(world, actor)} and commits its old plan`);
}
