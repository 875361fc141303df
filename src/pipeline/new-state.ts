import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import type { EventType, JsonObject, Operation } from '../terms.js';
import type { PlanContext } from './context.js';
import { maskEntity, refuseMovedElements } from './entity.js';
import type { LockedState } from './ledger.js';
import type { FieldRules } from './field-rules.js';
import {
  newReferences,
  refuseSharedIds,
  type NewReferences,
  type RuledField,
  type RuledPath,
} from './new-references.js';
import type { PreparedEvent } from './prepare.js';

/** What becomes of a connection. */
export interface NewState {
  readonly connection: ConnectionRow;
  readonly references: NewReferences;
  /** Rows of fields that are set no more. */
  readonly removed: readonly ReferenceRow[];
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
  refuseMovedElements(maskedFields, prepared, storedState(state));
  const next = newReferences(ruled.map(asPath), { connectionId: connection.id, order }, context);
  refuseSharedIds(next.rows);
  const kept = new Set(next.rows.map((row) => row.path));
  return {
    connection: {
      ...nextRow(encounter, OPERATIONS[event.eventType]),
      state: event.eventType === 'entitySoftDeleted' ? 'softDeleted' : 'live',
      entityType: event.entityType,
      root: event.root,
      kind: event.kind,
      serviceType: event.serviceType,
      name: event.name,
      fullyQualifiedName: event.fullyQualifiedName,
      version: event.version,
      entity: JSON.stringify(masked),
      appliedOrder: order,
    },
    references: next,
    removed: references.filter((row) => !kept.has(row.path)),
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
  refuseMovedElements(
    ruled.map(({ field }) => field),
    prepared,
    storedState(state),
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
  return { connection: nextRow(encounter, 'updated'), references: next, removed: [] };
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
  };
}

function storedState({ connection: { entity }, references }: LockedState) {
  return { entity: entity === null ? null : (JSON.parse(entity) as JsonObject), references };
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
