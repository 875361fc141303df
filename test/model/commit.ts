import type { NewState, Switches } from './decide.js';
import type { Actor, Plan, Row, State } from './state.js';
import { row, toPublish } from './state.js';

/** The database's transactions: src/database/ledger.ts with src/database/apply-changes.ts. */

/** ledger.ts ClaimGroup: takes a claim. A later claim has a larger epoch. */
export function takeClaim(state: State, actor: Actor, raises = true): void {
  if (raises) state.claim.epoch += 1;
  state.claim.held = true;
  actor.epoch = state.claim.epoch;
}

/** Whether the claim has time left for a request, by its holder's own clock. */
export function isFresh({ claim }: State, actor: Actor): boolean {
  return claim.held && claim.epoch === actor.epoch;
}

/** state-change.ts marks(): records the name before the first request writes to it. */
export function mark(state: State, store: number): void {
  const own = row(state, store);
  const former = own.st === 'none' || own.st === 'deleted';
  state.rows[store] = { st: 'writing', ver: former ? 0 : own.ver, sus: former ? 0 : own.sus, due: 0 };
}

export function planOf(
  state: State,
  next: NewState,
  { store, ...more }: Pick<Plan, 'value' | 'known'> & { store: number },
): Plan {
  return {
    ...more,
    revision: state.revision + 1,
    applied: next.applied,
    status: next.status,
    reference: next.reference,
    own: state.rows.map((one) => ({ ...one })),
    // While another manager has the connection's secrets, no field uses a name of this one.
    wasUsed: state.reference?.store === store,
    superseded: [...next.superseded],
  };
}

/** state-change.ts: everything of an applied event in one transaction. */
export function commitState(
  state: State,
  actor: Actor,
  plan: Plan,
  version: number | null,
  rules: Switches,
): void {
  if (plan.applied < state.applied) state.broken = 'an older state overwrites a newer one';
  // newest.ts: the older revision has no row, and its state is about to be gone.
  if (state.unpublished && rules('overtaken-kept')) state.unsent.push(state.revision);
  state.revision = plan.revision;
  state.applied = plan.applied;
  state.status = plan.status;
  state.reference = plan.reference;
  state.manager = actor.store;
  plan.own.forEach((own, store) => {
    const after = committedRow(own, store, { plan, actor, version, rules });
    if (after !== null) state.rows[store] = after;
  });
  if (actor.event >= 0) {
    state.inbox[actor.event] = 'applied';
    state.kept[actor.event] = '';
  }
  for (const other of plan.superseded) state.kept[other] = '';
  state.unpublished = true;
  state.missing.push(plan.revision);
  actor.revisions = toPublish(state);
}

interface Committed {
  readonly plan: Plan;
  readonly actor: Actor;
  readonly version: number | null;
  readonly rules: Switches;
}

/** state-change.ts committed() and retired(). Null: the row stays as it is. */
function committedRow(own: Row, store: number, { plan, actor, version, rules }: Committed): Row | null {
  const sus = suspicion(own, actor.epoch, rules);
  if (plan.reference?.store === store) {
    if (version !== null) return { st: 'live', ver: version, sus, due: 0 };
    return own.st === 'live' ? null : { st: 'live', ver: own.ver, sus, due: 0 };
  }
  if (!rules('retire-in-commit')) return null;
  return retiredRow(own, sus, rules);
}

export function retiredRow(own: Row, sus: number, rules: Switches): Row | null {
  const isLeftover = own.st === 'writing' && rules('writing-retired');
  return own.st === 'live' || isLeftover ? { ...own, st: 'retired', sus, due: 0 } : null;
}

/** state-change.ts #suspicion: a name is in doubt if another claim left it as `writing`. */
export function suspicion(own: Row, epoch: number, rules: Switches): number {
  if (!rules('suspect')) return 0;
  return own.st === 'writing' ? epoch : own.sus;
}

/** A mark without an epoch: the next claim may compare the versions. */
export const AT_ONCE = 0.5;

/** plan.ts refuse and wait, with state-change.ts abandoned(): the old state stays. */
export function abandon(state: State, actor: Actor, plan: Plan, rules: Switches): void {
  const own = plan.own[actor.store] as Row;
  const { ver } = own;
  const before = suspicion(own, actor.epoch, rules);
  // All its own requests were answered. A live name has another value than the recorded one, and is repaired at once.
  const isOther = actor.hasApplied && plan.wasUsed && rules('suspect') && rules('abandoned-in-doubt');
  const sus = before === 0 && isOther ? AT_ONCE : before;
  state.rows[actor.store] = { st: plan.wasUsed ? 'live' : 'retired', ver, sus, due: 0 };
  // mover.ts, and an event that comes again: only the names change, and the connection stays in its manager.
  if (actor.job === 'migrate' || actor.refusal === 'again') return;
  if (actor.refusal === 'waiting') keepWaiting(state, actor.event);
  else refuse(state, actor.event, 'refused');
  actor.revisions = toPublish(state);
}

/** unprocessed.ts refusal: the inbox, the dead letter, and a record for the topic unless the dead letter was there before. */
export function refuse(state: State, event: number, outcome: 'refused' | 'blocked'): void {
  state.inbox[event] = outcome;
  if (state.kept[event] !== 'dead') state.unsent.push(0);
  state.unsent.sort((left, right) => left - right);
  state.kept[event] = 'dead';
}

/** unprocessed.ts waiting */
export function keepWaiting(state: State, event: number): void {
  state.inbox[event] = 'waiting';
  state.kept[event] = 'waiting';
}
