import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError, type ErrorCode } from '../errors.js';
import { compareEvents, compareOrder } from '../events/order.js';
import { mayHideSomething } from '../masks.js';
import type { JsonObject, RecordOutcome, SourceEvent } from '../terms.js';
import { readingsOf } from '../ids/index.js';
import { EventAudit } from './audit.js';
import { blockerOf, isOwnOf, isUndecoded, supersededBy, type IsOwn, conflictOf } from './blocking.js';
import type { PlanContext } from './context.js';
import { FieldRules, ownIdOf } from './field-rules.js';
import { at, entityOf } from './entity.js';
import type { Changes, ClaimRequest, Decision, LockedState } from './ledger.js';
import type { Note } from './notes.js';
import { deletedState, patchedState, wholeState, type Encounter, type NewState } from './new-state.js';
import { setsField, knownFields, orderedAfter, quiet, type PreparedEvent } from './prepare.js';
import { readingsOfPlain } from './reference-refusals.js';
import { readingsOfState } from './outbox.js';
import { NOTHING_WRITTEN, StateChange, type NamedWrite, type Written, type GivenUp } from './state-change.js';
import {
  inboxRow,
  isSettled,
  keptBare,
  refusal,
  staleRow,
  unprocessed,
  waiting,
  withoutPayload,
  type WaitingCode,
} from './unprocessed.js';
import type { DenialCode } from './writer.js';

/** How a refused event is kept: the record as it came, or without its payload if the database refuses that. */
export type Kept = 'whole' | 'bare';

/** The values that must be written before an event's new state may be committed. */
export interface WritePlan {
  readonly writes: readonly NamedWrite[];
  readonly notes: readonly Note[];
  /** The rows of the new state. Throws EventErrors that only show once the values are read. */
  finish(written: Written): Changes;
  /** The rows of a refusal that is due to the store's answer. */
  refuse(error: EventError, given: GivenUp, kept?: Kept): Changes;
  /** The rows of an event that waits until the store takes its ids. */
  wait(code: DenialCode, detail: string, given: GivenUp): Changes;
  /** Puts its names back to what they were: the store applied nothing, and the event will be handled again. */
  giveBack(given: GivenUp): Changes;
}

/**
 * Decides what an event means for a connection's present state: first its order, then the rules for each field
 * (docs/secrets.md). Pure: it is called under the row's lock, and again if that transaction has to be repeated. All
 * refusals come before the first write.
 */
export function decideEvent(
  prepared: PreparedEvent,
  state: LockedState,
  context: PlanContext,
): Decision<WritePlan> {
  return new EventDecision(prepared, state, context).decide();
}

/** Makes a dead letter of an event for an outside reason, such as the database's. Does nothing if it is settled by now. */
export function refuseEvent(
  prepared: PreparedEvent,
  error: EventError,
  state: LockedState,
  context: PlanContext,
  kept: Kept,
): Decision<WritePlan> {
  return new EventDecision(prepared, state, context).refuseUnlessSettled(error, kept);
}

/**
 * Which kept events {@link decideEvent} has to see; a connection may have thousands. An event that is refused whatever is
 * stored needs only its own row. One that is newer than the applied state needs them up to the first that blocks it. Any
 * other event needs all.
 */
export function keptEventsFor(
  prepared: PreparedEvent,
  { fingerprintKey }: PlanContext,
): NonNullable<ClaimRequest<WritePlan>['keptEvents']> {
  const { error } = prepared;
  if (error !== null && error.code !== 'MASK_NOT_UNDERSTOOD') return 'none';
  const isOwn = isOwnOf(prepared, fingerprintKey);
  return (kept, connection) => ageOf(prepared, connection) > 0 && blockerOf(prepared, kept, isOwn) !== null;
}

/** Secret ids whose owners {@link decideEvent} must know. */
export function askedSecretIds(
  prepared: PreparedEvent,
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  context: PlanContext,
): string[] {
  const { kind, name } = prepared.event;
  const names = new Set([name, connection.name].filter((candidate) => candidate !== null));
  return [
    ...(prepared.fields ?? []).flatMap(({ found, incoming }) => [
      ...(incoming.kind === 'reference' ? readingsOf(incoming.secretId) : []),
      ...[...names].flatMap((candidate) =>
        idOrNone(() => context.ids.build(kind, candidate, found.idPath, connection.id)),
      ),
    ]),
    ...readingsOfPlain(prepared.event.entity),
    ...carriedSecretIds(connection, references, context),
  ];
}

/**
 * Ids that a connection's present state needs when it goes on: its names in the active manager (if another manager keeps
 * it now), and the ids that its users' references may mean.
 */
export function carriedSecretIds(
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  context: PlanContext,
): string[] {
  const isMoved = connection.manager !== null && connection.manager !== context.manager.name;
  const carried = isMoved
    ? references.flatMap((row) => idOrNone(() => ownIdOf(row.path, connection, context)))
    : [];
  return [...carried, ...readingsOfState(connection, references, context)];
}

function idOrNone(build: () => string): string[] {
  try {
    return [build()];
  } catch (error) {
    if (error instanceof EventError) return []; // the field rules report it if they need the id
    throw error;
  }
}

class EventDecision {
  /** Whether an event with other content came before under the same event id. */
  readonly #isReused: boolean;
  readonly #given: PreparedEvent;
  readonly #prepared: PreparedEvent;
  readonly #state: LockedState;
  readonly #context: PlanContext;
  readonly #encounter: Encounter;
  readonly #audit: EventAudit;
  readonly #isOwn: IsOwn;

  constructor(given: PreparedEvent, locked: LockedState, context: PlanContext) {
    this.#isReused = isReused(given, locked);
    const [own, state] = this.#isReused ? underOwnHash(given, locked) : [given, locked];
    const ordered = orderedAfter(own, state.connection.appliedOrder);
    const prepared = knownFields(ordered, state.references);
    this.#given = ordered;
    this.#prepared = prepared;
    this.#state = state;
    this.#context = context;
    this.#encounter = { prepared, state, context };
    this.#isOwn = isOwnOf(prepared, context.fingerprintKey);
    this.#audit = new EventAudit(prepared.event, state.nowMs);
  }

  decide(): Decision<WritePlan> {
    if (this.#isSettled()) return this.#acknowledge('duplicate', false);
    try {
      return this.#decideNew();
    } catch (error) {
      if (error instanceof EventError) return this.#refuse(error);
      throw error;
    }
  }

  refuseUnlessSettled(error: EventError, kept: Kept): Decision<WritePlan> {
    return this.#isSettled() ? this.#acknowledge('duplicate', false) : this.#refuse(error, kept);
  }

  #isSettled(): boolean {
    return isSettled(this.#state);
  }

  #refuse(error: EventError, kept: Kept = 'whole'): Decision<WritePlan> {
    const code = kept === 'bare' ? 'EVENT_NOT_STORABLE' : error.code;
    return this.#commit(this.#refusal(error, kept), outcomeOf(error), code);
  }

  #decideNew(): Decision<WritePlan> {
    const { error, event } = this.#prepared;
    if (this.#isReused)
      throw new EventError(
        'EVENT_ID_REUSED',
        `the event id ${event.eventId} came before, with other content`,
      );
    refuseOtherEntity(event, this.#state.connection);
    const age = ageOf(this.#prepared, this.#state.connection);
    if (age === 0) return this.#acknowledge('duplicate', true);
    if (age < 0) return this.#decideStale();
    if (error !== null) throw error;
    // With all fields: a mask in a field that no row knows may stand for a dead letter's value, too.
    const blocker = blockerOf(this.#given, this.#state.deadLetters, this.#isOwn);
    if (blocker !== null)
      throw new EventError(
        'EVENT_BLOCKED',
        `the dead letter ${blocker.eventHash} (${blocker.code}) of this connection must be settled first`,
      );
    return event.eventType === 'entityDeleted'
      ? this.#apply(deletedState(this.#encounter))
      : this.#decideFields();
  }

  #decideFields(): Decision<WritePlan> {
    const { event, order, fields } = this.#prepared;
    const rules = new FieldRules(this.#context, this.#state, order, event.name ?? '');
    const ruled = (fields ?? []).map((field) => ({ field, ruling: rules.rule(field, event.kind) }));
    const unresolved = ruled
      .filter(({ ruling }) => ruling.kind === 'wait')
      .map(({ field }) => field.found.pointer);
    if (unresolved.length > 0) return this.#wait(`no stored value for ${unresolved.join(', ')}`);
    return this.#apply(wholeState(this.#encounter, ruled));
  }

  #wait(detail: string): Decision<WritePlan> {
    if (this.#prepared.isLastTry) throw new EventError('MASK_WITHOUT_ORIGINAL', detail);
    return this.#settle('waiting', this.#waiting('MASK_WITHOUT_ORIGINAL', detail), 'MASK_WITHOUT_ORIGINAL');
  }

  /**
   * The event is older than the applied state. But order counts per field: a field that all newer events only masked is
   * still set. Otherwise a mask that overtakes the text it stands for would lose a password.
   */
  #decideStale(): Decision<WritePlan> {
    const { connection, references } = this.#state;
    const { error, order, fields } = this.#prepared;
    const conflict = conflictOf(this.#prepared, this.#state, this.#context.fingerprintKey);
    if (conflict !== null) throw orderConflict(conflict);
    const openPaths = new Set(
      references.filter((row) => compareOrder(row.setOrder, order) < 0).map(({ path }) => path),
    );
    const known = new Set(references.map(({ path }) => path));
    const stored = entityOf(connection);
    const open = (fields ?? []).filter(
      ({ path, incoming, found }) =>
        setsField(incoming) &&
        // No reference, but a mask in the entity: `SECRET_BY_NAME=report` passed it on without knowing a value behind it.
        (known.has(path) ? openPaths.has(path) : isStoredMask(stored, found.pointer)),
    );
    // If the fields could not be determined, any open path may be among them.
    const isOver = fields === null ? openPaths.size === 0 : open.length === 0;
    if (isOver || connection.entity === null) return this.#acknowledge('stale', true);
    // A mask sets nothing. A refused mask must not stop what the event does set.
    if (error !== null && error.code !== 'MASK_NOT_UNDERSTOOD') throw error;
    const rules = new FieldRules(this.#context, this.#state, order, connection.name ?? '');
    const ruled = open.map((field) => ({ field, ruling: rules.rule(field, connection.kind ?? '') }));
    return this.#apply(patchedState(this.#encounter, ruled, rules));
  }

  #apply(next: NewState): Decision<WritePlan> {
    const { context } = this.#encounter;
    const change = new StateChange({ state: this.#state, next, audit: this.#audit, context });
    if (change.waitMs > 0) return { kind: 'later', waitMs: change.waitMs };
    const finish = (written: Written): Changes => this.#settled(next, change.finish(written));
    if (next.references.writes.length === 0) {
      const outcome = { name: 'applied', code: null, notes: next.notes } as const;
      return { kind: 'commit', outcome, changes: finish(NOTHING_WRITTEN) };
    }
    const plan: WritePlan = {
      notes: next.notes,
      writes: change.writes,
      finish,
      refuse: (error, given, kept) => change.givenUp(this.#refusal(error, kept), given),
      wait: (code, detail, given) => change.givenUp(this.#denied(code, detail), given),
      giveBack: (given) => ({ stored: change.givenUp({}, given).stored ?? {} }),
    };
    return { kind: 'write', plan, changes: change.marks() };
  }

  /** The rows of a new state, and of the kept events that it settles. */
  #settled({ connection }: NewState, changes: Changes): Changes {
    // A patch is not full state. A dead letter may hold the only text of a field that it does not set.
    const isWhole = connection.appliedOrder === this.#prepared.order;
    const superseded = isWhole ? supersededBy(this.#prepared, this.#state.deadLetters, this.#isOwn) : [];
    const gone = [...superseded, ...this.#state.deadLetters.filter(this.#isOwn)];
    const removed = new Set([
      ...gone.map(({ eventHash }) => eventHash),
      ...(changes.deadLetters?.removeEventHashes ?? []),
      this.#prepared.eventHash,
    ]);
    return {
      ...changes,
      inbox: this.#inbox('applied'),
      settled: superseded.filter(isUndecoded).map((head) => staleRow(head, this.#state.nowMs)),
      deadLetters: { set: [], removeEventHashes: [...removed] },
      audit: [...(changes.audit ?? []), ...this.#audit.superseded(superseded)],
    };
  }

  /** Nothing to do for this event; the connection's unsent records are published anyway. */
  #acknowledge(outcome: 'duplicate' | 'stale', remember: boolean): Decision<WritePlan> {
    const isKnown = this.#state.deadLetters.some((head) => head.eventHash === this.#prepared.eventHash);
    const changes: Changes = {
      ...(remember ? { inbox: this.#inbox(outcome) } : {}),
      ...(isKnown ? { deadLetters: { set: [], removeEventHashes: [this.#prepared.eventHash] } } : {}),
    };
    return this.#state.hasUnsent ? this.#commit(changes, outcome) : this.#settle(outcome, changes);
  }

  #refusal(error: EventError, kept: Kept = 'whole'): Changes {
    const { nowMs, deadLetters } = this.#state;
    const event = unprocessed(this.#prepared);
    if (kept === 'whole') return refusal(event, error, nowMs, deadLetters, this.#context);
    const bare = { ...event, record: withoutPayload(event.record, this.#context.fingerprintKey) };
    return refusal(bare, keptBare(error, event.record), nowMs, deadLetters, this.#context);
  }

  #waiting(code: WaitingCode, detail: string): Changes {
    return waiting(unprocessed(this.#prepared), code, detail, this.#state, this.#context);
  }

  #denied(code: DenialCode, detail: string): Changes {
    if (this.#prepared.isLastTry) return this.#refusal(new EventError(code, detail));
    return this.#waiting(code, detail);
  }

  #inbox(outcome: RecordOutcome) {
    return inboxRow(unprocessed(this.#prepared), outcome, null, this.#state.nowMs);
  }

  #commit(changes: Changes, name: RecordOutcome, code: ErrorCode | null = null): Decision<WritePlan> {
    return { kind: 'commit', outcome: { name, code }, changes };
  }

  #settle(name: RecordOutcome, changes: Changes, code: ErrorCode | null = null): Decision<WritePlan> {
    return { kind: 'settle', outcome: { name, code }, changes };
  }
}

/** Whether the inbox has the event's id with other content. Rows of an earlier version have no digest to compare. */
function isReused({ order, openedDigest }: PreparedEvent, { inbox }: LockedState): boolean {
  const { digest, openedDigest: opened } = inbox ?? { digest: null, openedDigest: null };
  if (digest === null || digest === order.digest) return false;
  return (opened ?? digest) !== (openedDigest ?? order.digest);
}

/** The event under a hash of its own, so that the rows of the first event with its id stay as they are. */
function underOwnHash(given: PreparedEvent, state: LockedState): [PreparedEvent, LockedState] {
  return [
    quiet({ ...given, eventHash: given.reusedHash }),
    { ...state, inbox: state.reusedInbox, reusedInbox: null },
  ];
}

/** Compares an event with the newest applied one: 1 newer, 0 the same state, -1 older. */
function ageOf({ order, event }: PreparedEvent, { appliedOrder, state }: ConnectionRow): -1 | 0 | 1 {
  if (appliedOrder === null) return 1;
  const eventType = state === 'deleted' ? 'entityDeleted' : 'entityUpdated';
  return compareEvents({ order, eventType: event.eventType }, { order: appliedOrder, eventType });
}

function orderConflict(pointers: readonly string[]): EventError {
  const [first = null] = pointers;
  const more = pointers.length > 1 ? ` and ${pointers.length - 1} more` : '';
  const what = first === null ? 'what it was to set cannot be told' : `${first}${more} differs`;
  return new EventError(
    'ORDER_CONFLICT',
    `its version is higher and its time earlier than those of the applied state; ${what}`,
    first,
  );
}

/**
 * An id belongs to one entity, even after its deletion. If it came back as another type of entity, that one would get the
 * secrets and send them somewhere else.
 */
function refuseOtherEntity({ entityType }: SourceEvent, connection: ConnectionRow): void {
  if (connection.entityType === null || connection.entityType === entityType) return;
  throw new EventError(
    'ENTITY_TYPE_CHANGED',
    `entityType is ${entityType}, the connection of this id is of type ${connection.entityType}`,
    '/entityType',
  );
}

/** Whether the stored entity has a mask there. (In fields with a reference we put the mask there ourselves.) */
function isStoredMask(entity: JsonObject | null, pointer: string): boolean {
  const stored = entity === null ? null : at(entity, pointer);
  return typeof stored === 'string' && mayHideSomething(stored);
}

function outcomeOf(error: EventError): RecordOutcome {
  return error.code === 'EVENT_BLOCKED' ? 'blocked' : 'refused';
}
