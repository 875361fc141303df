import type { History } from './history.js';
import type { Rule } from './rules.js';
import { row, toPublish, type InboxOutcome, type Reference, type Row, type State } from './state.js';

/** The switches of one run. */
export type Switches = (rule: Rule) => boolean;

/** The new state that a commit gives the connection. */
export interface NewState {
  readonly status: 'live' | 'deleted';
  readonly applied: number;
  readonly reference: Reference | null;
  readonly superseded: readonly number[];
}

/** As `Decision` of src/pipeline/ledger.ts, for one field. */
export type Decision =
  | { readonly kind: 'settle' | 'acknowledge'; readonly outcome: InboxOutcome; readonly remember: boolean }
  | { readonly kind: 'refuse'; readonly outcome: 'refused' | 'blocked' }
  | { readonly kind: 'commit'; readonly next: NewState }
  /** `isCopy`: the value stays the same, but must be copied to the active manager. */
  | {
      readonly kind: 'write';
      readonly next: NewState;
      readonly known: boolean;
      readonly isCopy: boolean;
    }
  | { readonly kind: 'later' };

const SETTLED: ReadonlySet<InboxOutcome> = new Set<InboxOutcome>(['applied', 'stale', 'duplicate']);

/** `decideEvent` of src/pipeline/plan.ts, with the field decisions of field-rules.ts and the states of new-state.ts. */
export function decide(
  state: State,
  history: History,
  number: number,
  rules: Switches,
  { isLastTry, store }: { isLastTry: boolean; store: number },
): Decision {
  const event = history.events[number];
  if (event === undefined) throw new RangeError(`no event ${number}`);
  if (SETTLED.has(state.inbox[number] ?? '')) return acknowledge(state, 'duplicate', false);
  // plan.ts #comparison
  if (event.order === state.applied) return acknowledge(state, 'duplicate', true);
  if (event.order < state.applied && rules('order-check'))
    return decideStale(state, history, number, rules, store);
  if (blocks(state, history, number)) return { kind: 'refuse', outcome: 'blocked' };
  const next = (status: NewState['status'], reference: Reference | null): NewState => ({
    status,
    applied: event.order,
    reference,
    superseded: supersededBy(state, history, event.order),
  });
  if (event.kind === 'D') return apply(state, next('deleted', null), 'nothing', store);
  if (event.kind === 'n') return apply(state, next('live', null), 'nothing', store);
  if (event.kind === 'm') {
    // field-rules.ts #kept: a value in the active manager stays; another is copied with its own fingerprint and order.
    if (state.reference !== null)
      return apply(
        state,
        next('live', { ...state.reference, store }),
        isAtHome(state, store) ? 'nothing' : 'copy',
        store,
      );
    return isLastTry
      ? { kind: 'refuse', outcome: 'refused' }
      : { kind: 'settle', outcome: 'waiting', remember: true };
  }
  const reference = { order: event.order, value: event.kind, store };
  return apply(
    state,
    next('live', reference),
    isUnchanged(state, event.kind, store) ? 'nothing' : 'text',
    store,
  );
}

/** plan.ts #decideStale and new-state.ts patchedState */
function decideStale(
  state: State,
  history: History,
  number: number,
  rules: Switches,
  store: number,
): Decision {
  const { kind, order } = history.events[number] as History['events'][number];
  const setsText = kind === 'A' || kind === 'B';
  const isOpen = setsText && state.reference !== null && state.reference.order < order;
  if (!isOpen || state.status !== 'live' || !rules('order-per-field'))
    return acknowledge(state, 'stale', true);
  const next: NewState = {
    status: 'live',
    applied: state.applied,
    reference: { order, value: kind, store },
    superseded: [],
  };
  return apply(state, next, isUnchanged(state, kind, store) ? 'nothing' : 'text', store);
}

/** plan.ts #apply */
function apply(state: State, next: NewState, writes: 'nothing' | 'text' | 'copy', store: number): Decision {
  const { st } = row(state, store);
  if (next.reference !== null && st === 'deleting') return { kind: 'later' };
  if (writes === 'nothing') return { kind: 'commit', next };
  return { kind: 'write', next, known: isKnown(row(state, store)), isCopy: writes === 'copy' };
}

/** plan.ts #acknowledge */
function acknowledge(state: State, outcome: InboxOutcome, remember: boolean): Decision {
  return { kind: toPublish(state).length > 0 ? 'acknowledge' : 'settle', outcome, remember };
}

/** field-rules.ts #text and #isComplete */
function isUnchanged({ reference, rows }: State, value: string, store: number): boolean {
  const stored = rows[store];
  return reference?.value === value && reference.store === store && stored?.st === 'live' && stored.sus === 0;
}

/** move.ts decideMove: the same without an event. Null: the active manager has it already, or there is nothing to move. */
export function decideMove(state: State, store: number): Decision | null {
  if (state.manager === -1 || state.manager === store || state.status !== 'live') return null;
  const { applied, reference } = state;
  const moved = reference === null ? null : { ...reference, store };
  const next: NewState = { status: 'live', applied, reference: moved, superseded: [] };
  return apply(state, next, moved === null ? 'nothing' : 'copy', store);
}

/** field-rules.ts isAtHome */
function isAtHome({ reference }: State, store: number): boolean {
  return reference?.store === store;
}

/** state-change.ts isKnown */
export function isKnown({ st, ver }: Row): boolean {
  return st !== 'none' && st !== 'deleted' && ver !== 0;
}

/** blocking.ts blockerOf: an older dead letter that would set the field which this event masks. */
function blocks(state: State, { events }: History, number: number): boolean {
  const event = events[number];
  if (event?.kind !== 'm') return false;
  return events.some(
    ({ kind, order }, other) =>
      state.kept[other] === 'dead' && order < event.order && (kind === 'A' || kind === 'B'),
  );
}

/** blocking.ts supersededBy */
function supersededBy(state: State, { events }: History, order: number): number[] {
  return events.flatMap((event, other) =>
    state.kept[other] === 'dead' && event.order < order ? [other] : [],
  );
}
