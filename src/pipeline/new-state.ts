import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import type { EventType, Operation } from '../terms.js';
import type { PlanContext } from './context.js';
import { entityOf, maskEntity, refuseMovedElements, withEntity } from './entity.js';
import type { LockedState } from './ledger.js';
import type { FieldRules } from './field-rules.js';
import {
  newReferences,
  refuseSharedIds,
  type NewReferences,
  type RuledField,
  type RuledPath,
} from './new-references.js';
import { notesOfDeletion, notesOfMove, notesOfPatch, notesOfState, type Note } from './notes.js';
import type { PreparedEvent } from './prepare.js';

/** What becomes of a connection. */
export interface NewState {
  readonly connection: ConnectionRow;
  readonly references: NewReferences;
  /** Rows of fields that are set no more. */
  readonly removed: readonly ReferenceRow[];
  readonly notes: readonly Note[];
}

/** An event and what it meets. */
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

/** The full state that the event carries. Throws the EventErrors that only the whole can show. */
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
        ...nextRow(encounter, OPERATIONS[event.eventType]),
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
 * The present state with some fields set by an older event; everything else stays the newer one's, and moves with it where
 * the connection changes its manager.
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
  // The newer state was stored before anybody here knew these values.
  const quotes = stored.entity === null ? null : (prepared.quotes?.in(stored.entity) ?? null);
  const after = prepared.event.entity ?? {};
  const change = { before: stored.entity, after, ruled, rows: next.rows, quotes };
  const patched = nextRow(encounter, 'updated');
  const isMasked = quotes !== null && quotes.masked.length > 0;
  return {
    connection: isMasked ? withEntity(patched, quotes.entity) : patched,
    references: next,
    removed: [],
    notes: notesOfPatch(encounter, change),
  };
}

/** The present state under the active manager: nothing else of it changes. */
export function movedState(
  { state, context }: Pick<Encounter, 'state' | 'context'>,
  rules: Pick<FieldRules, 'carry'>,
): NewState {
  const { connection, references, nowMs } = state;
  const carried = references.map((row) => carriedBy(rules, row));
  const next = newReferences(carried, { connectionId: connection.id, order: null }, context);
  refuseSharedIds(next.rows);
  return {
    connection: {
      ...connection,
      manager: context.manager.name,
      revision: connection.revision + 1,
      operation: 'migrated',
      updatedAtMs: nowMs,
    },
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
      ...nextRow(encounter, 'deleted'),
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

function nextRow({ prepared, state, context }: Encounter, operation: Operation): ConnectionRow {
  const { connection, nowMs } = state;
  return {
    ...connection,
    manager: context.manager.name,
    revision: connection.revision + 1,
    operation,
    eventId: prepared.event.eventId,
    updatedAtMs: nowMs,
  };
}
