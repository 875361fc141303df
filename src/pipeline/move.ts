import { EventAudit } from './audit.js';
import type { PlanContext } from './context.js';
import { FieldRules } from './field-rules.js';
import type { Changes, Decision, LockedState } from './ledger.js';
import { movedState } from './new-state.js';
import { NOTHING_WRITTEN, StateChange, type NamedWrite, type Written, type GivenUp } from './state-change.js';

/** The values to copy before a connection belongs to the active manager. */
export interface MovePlan {
  readonly writes: readonly NamedWrite[];
  /** @throws EventError that only shows once the values are read */
  finish(written: Written): Changes;
  /** The rows if the move is given up: the connection stays with its manager. */
  giveUp(given: GivenUp): Changes;
}

/** Whether another manager than the active one keeps the connection, and it owns at least one secret. */
export function isElsewhere(
  { connection }: Pick<LockedState, 'connection'>,
  { manager }: Pick<PlanContext, 'manager'>,
): boolean {
  const { state, manager: its } = connection;
  return its !== null && its !== manager.name && (state === 'live' || state === 'softDeleted');
}

/**
 * Moves one connection to the active manager without an event, just as an event moves the fields that it does not set.
 * Pure; called under the row's lock.
 *
 * @param actor who moves it, for the audit
 * @throws EventError if the active manager cannot take it, before anything is written
 */
export function decideMove(state: LockedState, context: PlanContext, actor: string): Decision<MovePlan> {
  const { connection, nowMs } = state;
  const outcome = { name: 'applied', code: null } as const;
  const order = connection.appliedOrder;
  if (!isElsewhere(state, context) || order === null) return { kind: 'settle', outcome, changes: {} };
  const next = movedState({ state, context }, new FieldRules(context, state, order, connection.name ?? ''));
  const audit = new EventAudit({ actor, connectionId: connection.id, eventId: null }, nowMs);
  const change = new StateChange({ state, next, audit, context });
  if (change.waitMs > 0) return { kind: 'later', waitMs: change.waitMs };
  if (next.references.writes.length === 0)
    return { kind: 'commit', outcome, changes: change.finish(NOTHING_WRITTEN) };
  const plan: MovePlan = {
    writes: change.writes,
    finish: (written) => change.finish(written),
    giveUp: (given) => change.givenUp({}, given),
  };
  return { kind: 'write', plan, changes: change.marks() };
}
