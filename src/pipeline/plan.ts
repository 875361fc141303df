import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError, type ErrorCode } from '../errors.js';
import { compareEvents, compareOrder } from '../events/order.js';
import { MASK, type JsonObject, type RecordOutcome } from '../terms.js';
import { EventAudit } from './audit.js';
import { blockerOf, supersededBy } from './blocking.js';
import type { PlanContext } from './context.js';
import { FieldRules, ownIdOf } from './field-rules.js';
import { at } from './entity.js';
import type { Changes, Decision, LockedState } from './ledger.js';
import { deletedState, patchedState, wholeState, type Encounter, type NewState } from './new-state.js';
import { setsField } from './incoming.js';
import { knownFields, type PreparedEvent } from './prepare.js';
import { NOTHING_WRITTEN, StateChange, type NamedWrite, type Written } from './state-change.js';
import { inboxRow, refusal, unprocessed, waiting } from './unprocessed.js';

/** What is still to be written before an event's new state may be committed. */
export interface WritePlan {
  readonly writes: readonly NamedWrite[];
  /** The rows of the new state. Throws the EventErrors that only the values that were read can show. */
  finish(written: Written): Changes;
  /** The rows of a refusal that the store gave the reason for, so long after the claim was taken. */
  refuse(error: EventError, elapsedMs: number): Changes;
  /** The rows of an event that waits for a permission. */
  wait(detail: string, elapsedMs: number): Changes;
}

/**
 * What an event means for a connection as it stands: the order of §2.1, then the rules of §2.2. Pure: called under the
 * row's lock, and again if that transaction has to be sent again. All refusals come before the first write.
 */
export function decideEvent(
  prepared: PreparedEvent,
  state: LockedState,
  context: PlanContext,
): Decision<WritePlan> {
  return new EventDecision(prepared, state, context).decide();
}

/** Makes a dead letter of an event for a reason that lies outside of it; nothing where it is settled by now. */
export function refuseEvent(
  prepared: PreparedEvent,
  error: EventError,
  state: LockedState,
  context: PlanContext,
): Decision<WritePlan> {
  return new EventDecision(prepared, state, context).refuseUnlessSettled(error);
}

/** Secret ids whose owners {@link decideEvent} wants to know. */
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
      ...(incoming.kind === 'reference' ? [incoming.secretId] : []),
      ...[...names].flatMap((candidate) =>
        idOrNone(() => context.ids.build(kind, candidate, found.idPath, connection.id)),
      ),
    ]),
    ...movedSecretIds(connection, references, context),
  ];
}

/** Names that what a connection has would get in the active manager; none where they are there. */
export function movedSecretIds(
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  context: PlanContext,
): string[] {
  if (connection.manager === null || connection.manager === context.manager.name) return [];
  return references.flatMap(({ path }) => idOrNone(() => ownIdOf(path, connection, context)));
}

function idOrNone(build: () => string): string[] {
  try {
    return [build()];
  } catch (error) {
    if (error instanceof EventError) return []; // the rules name it when they need the id
    throw error;
  }
}

class EventDecision {
  readonly #given: PreparedEvent;
  readonly #prepared: PreparedEvent;
  readonly #state: LockedState;
  readonly #context: PlanContext;
  readonly #encounter: Encounter;
  readonly #audit: EventAudit;

  constructor(given: PreparedEvent, state: LockedState, context: PlanContext) {
    const prepared = knownFields(given, state.references);
    this.#given = given;
    this.#prepared = prepared;
    this.#state = state;
    this.#context = context;
    this.#encounter = { prepared, state, context };
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

  refuseUnlessSettled(error: EventError): Decision<WritePlan> {
    return this.#isSettled() ? this.#acknowledge('duplicate', false) : this.#refuse(error);
  }

  #isSettled(): boolean {
    const { inbox } = this.#state;
    return inbox !== null && SETTLED.has(inbox.outcome);
  }

  #refuse(error: EventError): Decision<WritePlan> {
    return this.#commit(this.#refusal(error), outcomeOf(error), error.code);
  }

  #decideNew(): Decision<WritePlan> {
    const { error, event } = this.#prepared;
    const age = this.#comparison();
    if (age === 0) return this.#acknowledge('duplicate', true);
    if (age < 0) return this.#decideStale();
    if (error !== null) throw error;
    // A mask that is passed on as it is may stand for what a dead letter was to set, too.
    const blocker = blockerOf(this.#given, this.#state.deadLetters);
    if (blocker !== null)
      throw new EventError(
        'EVENT_BLOCKED',
        `the dead letter ${blocker.eventHash} (${blocker.code}) of this connection must be settled first`,
      );
    return event.eventType === 'entityDeleted'
      ? this.#apply(deletedState(this.#encounter))
      : this.#decideFields();
  }

  /** Against the newest applied event: 1 newer, 0 the same state, -1 older. */
  #comparison(): -1 | 0 | 1 {
    const { appliedOrder, state } = this.#state.connection;
    if (appliedOrder === null) return 1;
    const applied = {
      order: appliedOrder,
      eventType: state === 'deleted' ? 'entityDeleted' : 'entityUpdated',
    } as const;
    return compareEvents({ order: this.#prepared.order, eventType: this.#prepared.event.eventType }, applied);
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
   * Older than what is applied; but order holds per field: what every newer event only masked is still set, else a mask
   * that overtakes the text it stands for would lose a password.
   */
  #decideStale(): Decision<WritePlan> {
    const { connection, references } = this.#state;
    const { error, order, fields } = this.#prepared;
    const openPaths = new Set(
      references.filter((row) => compareOrder(row.setOrder, order) < 0).map(({ path }) => path),
    );
    const known = new Set(references.map(({ path }) => path));
    const open = (fields ?? []).filter(
      ({ path, incoming, found }) =>
        setsField(incoming) &&
        // Without a reference: `SECRET_BY_NAME=report` has passed a mask on that nothing was known to stand behind.
        (known.has(path) ? openPaths.has(path) : isStoredMask(connection.entity, found.pointer)),
    );
    // Of fields that could not be told, any may be one of them.
    const isOver = fields === null ? openPaths.size === 0 : open.length === 0;
    if (isOver || connection.entity === null) return this.#acknowledge('stale', true);
    if (error !== null) throw error;
    const rules = new FieldRules(this.#context, this.#state, order, connection.name ?? '');
    const ruled = open.map((field) => ({ field, ruling: rules.rule(field, connection.kind ?? '') }));
    return this.#apply(patchedState(this.#encounter, ruled, rules));
  }

  #apply(next: NewState): Decision<WritePlan> {
    const { event } = this.#prepared;
    const source = { eventId: event.eventId, ...event.source };
    const { context } = this.#encounter;
    const change = new StateChange({ state: this.#state, next, source, audit: this.#audit, context });
    if (change.waitMs > 0) return { kind: 'later', waitMs: change.waitMs };
    const finish = (written: Written): Changes => this.#settled(next, change.finish(written));
    if (next.references.writes.length === 0) return this.#commit(finish(NOTHING_WRITTEN), 'applied');
    const plan: WritePlan = {
      writes: change.writes,
      finish,
      refuse: (error, elapsedMs) => change.givenUp(this.#refusal(error), elapsedMs),
      wait: (detail, elapsedMs) => change.givenUp(this.#denied(detail), elapsedMs),
    };
    return { kind: 'write', plan, changes: change.marks() };
  }

  /** The rows of a new state, and what its event settles by it. */
  #settled({ connection }: NewState, changes: Changes): Changes {
    // A patch is not full state: what it does not set may still be somebody's only text.
    const isWhole = connection.appliedOrder === this.#prepared.order;
    const superseded = isWhole ? supersededBy(this.#prepared, this.#state.deadLetters) : [];
    const ended = changes.deadLetters?.removeEventHashes ?? [];
    return {
      ...changes,
      inbox: this.#inbox('applied'),
      deadLetters: { set: [], removeEventHashes: [...superseded, ...ended, this.#prepared.eventHash] },
    };
  }

  /** Nothing to do for this event; what of the connection is unpublished is published all the same. */
  #acknowledge(outcome: 'duplicate' | 'stale', remember: boolean): Decision<WritePlan> {
    const isKnown = this.#state.deadLetters.some((head) => head.eventHash === this.#prepared.eventHash);
    const changes: Changes = {
      ...(remember ? { inbox: this.#inbox(outcome) } : {}),
      ...(isKnown ? { deadLetters: { set: [], removeEventHashes: [this.#prepared.eventHash] } } : {}),
    };
    return this.#state.hasUnsent ? this.#commit(changes, outcome) : this.#settle(outcome, changes);
  }

  #refusal(error: EventError): Changes {
    const { nowMs, deadLetters } = this.#state;
    return refusal(unprocessed(this.#prepared), error, nowMs, deadLetters, this.#context);
  }

  #waiting(code: 'MASK_WITHOUT_ORIGINAL' | 'STORE_DENIED', detail: string): Changes {
    return waiting(unprocessed(this.#prepared), code, detail, this.#state, this.#context);
  }

  #denied(detail: string): Changes {
    if (this.#prepared.isLastTry) return this.#refusal(new EventError('STORE_DENIED', detail));
    return this.#waiting('STORE_DENIED', detail);
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

/** Whether the entity as it is stored has a mask there; those of fields with a reference are of our making. */
function isStoredMask(entity: string | null, pointer: string): boolean {
  return entity !== null && at(JSON.parse(entity) as JsonObject, pointer) === MASK;
}

/** Outcomes that a redelivery does not change; a refused or blocked event is tried again. */
const SETTLED: ReadonlySet<RecordOutcome> = new Set<RecordOutcome>(['applied', 'stale', 'duplicate']);

function outcomeOf(error: EventError): RecordOutcome {
  return error.code === 'EVENT_BLOCKED' ? 'blocked' : 'refused';
}
