import type { ReferenceRow, ConnectionRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import type { EventOrder, ManagerName, Reference, EventType, Operation } from '../terms.js';
import type { PlanContext } from './context.js';
import { entityOf, maskEntity, refuseMovedElements, withEntity } from './entity.js';
import type { Ruling, FieldRules } from './field-rules.js';
import type { LockedState } from './ledger.js';
import { notesOfDeletion, notesOfMove, notesOfPatch, notesOfState, type Note } from './notes.js';
import { nextRow, sourceOf } from './outbox.js';
import type { PreparedField, PreparedEvent } from './prepare.js';
import { referenceRow, valueRow } from './references.js';

/** Where a value that is to be copied lies now. */
export interface CopySource {
  readonly kind: 'copy';
  readonly manager: ManagerName;
  readonly reference: Reference;
  /** The recorded version, which is read even if the store has a newer one. Null: a token holds the value, or none was recorded. */
  readonly version: string | null;
}

/** A value that must be written before the new state may be committed. */
export interface PlannedWrite {
  readonly path: string;
  /** Its name under the active manager, also where that keeps values in the database. */
  readonly secretId: string;
  /** `database`: nothing is sent to a store; the row gets the value that was read. */
  readonly target: 'store' | 'database';
  readonly source: { readonly kind: 'text'; readonly value: SecretValue } | CopySource;
}

export interface RuledField {
  readonly field: PreparedField;
  readonly ruling: Ruling;
}

/** A field, found in an event or known from its row. */
interface RuledPath {
  readonly path: string;
  readonly pointer: string;
  readonly ruling: Ruling;
}

/** The reference rows of a connection after an event, and the values that must be written for them. */
export interface NewReferences {
  /** The rows of `database` writes are still without a value: {@link withCopies} adds it. */
  readonly rows: readonly ReferenceRow[];
  readonly writes: readonly PlannedWrite[];
}

/** The connection, and the event, that new rows belong to. */
interface ReferenceOwner {
  readonly connectionId: string;
  /** The order of the event that sets the fields. Null: no event does, the fields only move. */
  readonly order: EventOrder | null;
}

/** Rows and writes of an event that sets these fields; `wait` rulings must not be among them. */
function newReferences(
  ruled: readonly RuledPath[],
  owner: ReferenceOwner,
  context: PlanContext,
): NewReferences {
  const made = ruled.map((field) => madeOf(field, owner, context));
  return {
    rows: made.flatMap(({ row }) => (row === null ? [] : [row])),
    writes: made.flatMap(({ write }) => (write === null ? [] : [write])),
  };
}

interface Made {
  readonly row: ReferenceRow | null;
  readonly write: PlannedWrite | null;
}

function madeOf(
  { path, pointer, ruling }: RuledPath,
  { connectionId, order }: ReferenceOwner,
  context: PlanContext,
): Made {
  const target = context.manager.keeps;
  const base = { connectionId, path, pointer };
  const named = (setOrder: EventOrder, secretId: string, owned: boolean, fingerprint: string | null) =>
    referenceRow(
      { ...base, setOrder, content: { holds: 'reference', secretId, owned, fingerprint } },
      context,
    );
  switch (ruling.kind) {
    case 'clear':
    case 'wait':
      return { row: null, write: null };
    case 'keep':
      return { row: { ...ruling.row, pointer, setOrder: ruling.order }, write: null };
    case 'refer':
      return { row: named(requireOrder(order), ruling.secretId, ruling.owned, null), write: null };
    case 'copy': {
      const { secretId, source, fingerprint } = ruling;
      const row =
        target === 'store'
          ? named(ruling.order, secretId, true, fingerprint)
          : valueRow({ ...base, setOrder: ruling.order }, null, fingerprint, context);
      return { row, write: { path, secretId, target, source } };
    }
    case 'text': {
      const { value, fingerprint, secretId } = ruling;
      const setOrder = requireOrder(order);
      if (target === 'store')
        return {
          row: named(setOrder, secretId, true, fingerprint),
          write: { path, secretId, target, source: { kind: 'text', value } },
        };
      return { row: valueRow({ ...base, setOrder }, value, fingerprint, context), write: null };
    }
  }
}

function requireOrder(order: EventOrder | null): EventOrder {
  if (order === null) throw new TypeError('a ruling sets a field, but no event is given');
  return order;
}

/** The rows, with the values that were read put into those that store a value. */
export function withCopies(
  { rows, writes }: NewReferences,
  copied: ReadonlyMap<string, SecretValue>,
  context: PlanContext,
): readonly ReferenceRow[] {
  const kept = new Set(writes.filter(({ target }) => target === 'database').map(({ path }) => path));
  if (kept.size === 0) return rows;
  return rows.map((row) => {
    if (!kept.has(row.path)) return row;
    const value = copied.get(row.path);
    if (value === undefined) throw new TypeError(`no value was read for ${row.path}`);
    return valueRow(row, value, row.fingerprint, context);
  });
}

/** A secret id may belong to one field only: a second field with the same one would overwrite the first. */
function refuseSharedIds(rows: readonly ReferenceRow[]): void {
  const pathById = new Map<string, string>();
  for (const { secretId, pointer } of rows) {
    if (secretId === null) continue;
    const other = pathById.get(secretId);
    if (other !== undefined)
      throw new EventError(
        'SECRET_ID_AMBIGUOUS',
        `${other} and ${pointer} have the same secret id ${secretId}`,
        pointer,
      );
    pathById.set(secretId, pointer);
  }
}

/** A connection's state after an event or a move. */
export interface NewState {
  readonly connection: ConnectionRow;
  readonly references: NewReferences;
  /** Rows of fields that are no longer set. */
  readonly removed: readonly ReferenceRow[];
  readonly notes: readonly Note[];
}

/** An event, the state that it meets, and the context. */
export interface Encounter {
  readonly prepared: PreparedEvent;
  readonly state: LockedState;
  readonly context: PlanContext;
}

const OPERATIONS = {
  entityCreated: 'created',
  entityUpdated: 'updated',
  entitySoftDeleted: 'softDeleted',
  entityRestored: 'restored',
  entityDeleted: 'deleted',
} as const satisfies Record<EventType, Operation>;

/** The full state that the event carries. Throws EventErrors that show only in the state as a whole. */
export function wholeState(encounter: Encounter, ruled: readonly RuledField[]): NewState {
  const { prepared, state, context } = encounter;
  const { event, order } = prepared;
  const { connection, references } = state;
  const masked = maskEntity(event.entity ?? {}, ruled);
  const maskedFields = ruled.map(({ field }) => field).filter(({ incoming }) => incoming.kind === 'mask');
  const stored = storedState(state);
  refuseMovedElements(maskedFields, prepared, stored);
  const next = newReferences(ruled.map(asPath), { connectionId: connection.id, order }, context);
  refuseSharedIds(next.rows);
  const kept = new Set(next.rows.map((row) => row.path));
  return {
    connection: withEntity(
      {
        ...rowOfEvent(encounter, OPERATIONS[event.eventType]),
        state: event.eventType === 'entitySoftDeleted' ? 'softDeleted' : 'live',
        entityType: event.entityType,
        root: event.root,
        kind: event.kind,
        serviceType: event.serviceType,
        name: event.name,
        fullyQualifiedName: event.fullyQualifiedName,
        version: event.version,
        appliedOrder: order,
      },
      masked,
    ),
    references: next,
    removed: references.filter((row) => !kept.has(row.path)),
    notes: notesOfState(encounter, { before: stored.entity, after: masked, ruled, rows: next.rows }),
  };
}

/**
 * The present state with some fields set by an older event. All other fields stay as they are; if the connection changes
 * its manager, they move along.
 */
export function patchedState(
  encounter: Encounter,
  ruled: readonly RuledField[],
  rules: Pick<FieldRules, 'carry'>,
): NewState {
  const { prepared, state, context } = encounter;
  const { connection, references } = state;
  const stored = storedState(state);
  refuseMovedElements(
    ruled.map(({ field }) => field),
    prepared,
    stored,
  );
  const pointerByPath = new Map(references.map((row) => [row.path, row.pointer]));
  const set = ruled.map((one): RuledPath => {
    const { path, pointer, ruling } = asPath(one);
    return { path, pointer: pointerByPath.get(path) ?? pointer, ruling };
  });
  const setPaths = new Set(set.map(({ path }) => path));
  const carried = references.filter(({ path }) => !setPaths.has(path)).map((row) => carriedBy(rules, row));
  const owner = { connectionId: connection.id, order: prepared.order };
  const next = newReferences([...carried, ...set], owner, context);
  refuseSharedIds(next.rows);
  // The stored entity was not searched for these values, because they were not known then.
  const quotes = stored.entity === null ? null : (prepared.quotes?.in(stored.entity) ?? null);
  const after = prepared.event.entity ?? {};
  const change = { before: stored.entity, after, ruled, rows: next.rows, quotes };
  const patched = rowOfEvent(encounter, 'updated');
  const isMasked = quotes !== null && quotes.masked.length > 0;
  return {
    connection: isMasked ? withEntity(patched, quotes.entity) : patched,
    references: next,
    removed: [],
    notes: notesOfPatch(encounter, change),
  };
}

/** The present state, moved to the active manager; nothing else changes. */
export function movedState(
  { state, context }: Pick<Encounter, 'state' | 'context'>,
  rules: Pick<FieldRules, 'carry'>,
): NewState {
  const { connection, references, nowMs } = state;
  const carried = references.map((row) => carriedBy(rules, row));
  const next = newReferences(carried, { connectionId: connection.id, order: null }, context);
  refuseSharedIds(next.rows);
  return {
    connection: nextRow(connection, { operation: 'migrated', source: sourceOf(connection), nowMs }, context),
    references: next,
    removed: [],
    notes: notesOfMove({ state, context }),
  };
}

function carriedBy(rules: Pick<FieldRules, 'carry'>, row: ReferenceRow): RuledPath {
  return { path: row.path, pointer: row.pointer, ruling: rules.carry(row) };
}

function asPath({ field, ruling }: RuledField): RuledPath {
  return { path: field.path, pointer: field.found.pointer, ruling };
}

/** The tombstone: its order keeps late events from resurrecting the connection. */
export function deletedState(encounter: Encounter): NewState {
  const { event, order } = encounter.prepared;
  const { connection, references } = encounter.state;
  return {
    connection: {
      ...rowOfEvent(encounter, 'deleted'),
      state: 'deleted',
      entityType: event.entityType,
      root: event.root,
      kind: event.kind,
      serviceType: event.serviceType ?? connection.serviceType,
      name: event.name ?? connection.name,
      fullyQualifiedName: event.fullyQualifiedName ?? connection.fullyQualifiedName,
      version: event.version ?? connection.version,
      entity: null,
      appliedOrder: order,
    },
    references: { rows: [], writes: [] },
    removed: references,
    notes: notesOfDeletion(encounter),
  };
}

function storedState({ connection, references }: LockedState) {
  return { entity: entityOf(connection), references };
}

function rowOfEvent({ prepared, state, context }: Encounter, operation: Operation): ConnectionRow {
  const { eventId, source } = prepared.event;
  const { connection, nowMs } = state;
  const { topic, partition, offset } = source;
  const next = { operation, source: { eventId, topic, partition, offset }, nowMs };
  return { ...nextRow(connection, next, context), eventId };
}
