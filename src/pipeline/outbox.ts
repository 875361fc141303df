import { randomUUID } from 'node:crypto';
import type { OutboxRow, ConnectionRow, ReferenceRow } from '../database/rows.js';
import { WorkerError, EventError } from '../errors.js';
import { encodeSecuredEvent } from '../events/secured-event.js';
import { tokenOf, toSealed } from '../fernet/index.js';
import type { Operation, SecuredEvent } from '../terms.js';
import type { OutgoingRecord, Stream } from '../transport.js';
import type { Sealer, PlanContext } from './context.js';
import { entityOf, fillEntity } from './entity.js';
import type { LockedState } from './ledger.js';
import {
  readingsOfPlain,
  refusePlainReferences,
  readingsOfStored,
  refusalOfStored,
  throwRefusal,
  type OwnNames,
} from './reference-refusals.js';
import { emittedReference, type EmitContext } from './references.js';

interface PackedRecord {
  readonly stream: Stream;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Its references were checked when it was made. Absent: an earlier version made it, with fewer checks. */
  readonly isJudged?: true;
}

/** The record in each row that this process made, so that sending it needs no opening. Goes with its row; never printed. */
const MADE = new WeakMap<OutboxRow, OutgoingRecord>();

/** The outbox row of a record. Its payload is sealed, so that the database shows no reference in the clear. */
export function outboxRow(
  record: OutgoingRecord,
  place: { readonly connectionId: string | null; readonly revision: number; readonly nowMs: number },
  ring: Sealer,
): OutboxRow {
  const packed: PackedRecord = { ...record, value: record.value?.toString('utf8') ?? null, isJudged: true };
  const row: OutboxRow = {
    id: randomUUID(),
    connectionId: place.connectionId,
    stream: record.stream,
    revision: place.revision,
    payload: toSealed(ring.seal(JSON.stringify(packed))),
    createdAtMs: place.nowMs,
    sentAtMs: null,
  };
  MADE.set(row, record);
  return row;
}

/** A record that may be sent. */
export interface Opened {
  /** The id of its outbox row. Null: it is the newest revision's, which has no row. */
  readonly id: string | null;
  readonly revision: number;
  readonly record: OutgoingRecord;
  /** False: an earlier version made this secured event. Only the relay checks and sends it. */
  readonly isJudged: boolean;
}

/** Opens rows for sending. Leaves out those that no key opens, and tells `onUnpublished` of each. */
export function openOutgoing(
  rows: readonly OutboxRow[],
  ring: Sealer,
  onUnpublished: (error: WorkerError) => void,
): Opened[] {
  return rows.flatMap((row) => {
    try {
      return [opened(row, ring)];
    } catch {
      const whose = row.connectionId === null ? 'of no connection' : `of connection ${row.connectionId}`;
      const message = `no key of FERNET_KEY opens an unsent record (${row.stream}) ${whose}`;
      onUnpublished(new WorkerError('KEY_MISSING', message));
      return [];
    }
  });
}

export function outgoingRecord(row: OutboxRow, ring: Sealer): OutgoingRecord {
  return opened(row, ring).record;
}

function opened(row: OutboxRow, ring: Sealer): Opened {
  const { id, revision } = row;
  const made = MADE.get(row);
  if (made !== undefined) return { id, revision, record: made, isJudged: true };
  const { isJudged, value, ...packed } = JSON.parse(ring.open(tokenOf(row.payload))) as PackedRecord;
  return {
    id,
    revision,
    record: { ...packed, value: value === null ? null : Buffer.from(value, 'utf8') },
    isJudged: isJudged === true || packed.stream !== 'secured',
  };
}

/** What is needed to make a secured event, besides the connection's state. */
export type SecuredContext = EmitContext &
  Pick<PlanContext, 'manager' | 'generation'> & {
    readonly ids: OwnNames;
    readonly output: Pick<PlanContext['output'], 'format'>;
  };

/** A connection's row with its next revision, marked as unpublished since now. */
export function nextRow(
  connection: ConnectionRow,
  { operation, source, nowMs }: { operation: Operation; source: SecuredEvent['source']; nowMs: number },
  { manager, rings }: Pick<SecuredContext, 'manager' | 'rings'>,
): ConnectionRow {
  return {
    ...connection,
    manager: manager.name,
    revision: connection.revision + 1,
    operation,
    securedFrom: { source, store: storeOf(manager), keyId: rings.ingestion.primaryKeyId },
    unpublishedSinceMs: nowMs,
    updatedAtMs: nowMs,
  };
}

/**
 * The `connection.secured` record of a connection's present state, the same bytes each time it is made. Every secured event
 * is made here, so this is where a reference that must not be published is stopped, even one that was accepted long ago.
 *
 * @param foreign the owners of the names that {@link readingsOfState} lists
 * @throws EventError REFERENCE_ALTERED, REFERENCE_NOT_OPENED, REFERENCE_FOREIGN, REFERENCE_INVALID
 */
export function securedRecord(
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  foreign: LockedState['foreign'],
  context: SecuredContext,
): OutgoingRecord {
  const { manager, generation, output } = context;
  const emitted = references.map((row) => ({
    row,
    reference: emittedReference(row, connection, context),
  }));
  refuseForeign(connection, references, foreign, context);
  const entity = entityOf(connection);
  const event: SecuredEvent = {
    connectionId: connection.id,
    entityType: connection.entityType ?? '',
    serviceType: connection.serviceType,
    name: connection.name,
    fullyQualifiedName: connection.fullyQualifiedName,
    version: connection.version,
    revision: connection.revision,
    operation: connection.operation ?? 'updated',
    generation,
    manager: connection.manager ?? manager.name,
    store: connection.securedFrom?.store ?? storeOf(manager),
    entity:
      entity === null
        ? null
        : fillEntity(
            entity,
            emitted.map(({ row, reference }) => [row.pointer, reference] as const),
          ),
    secretFields: emitted.map(({ row, reference }) => ({ path: row.pointer, reference, owned: row.owned })),
    source: sourceOf(connection),
    time: new Date(connection.updatedAtMs).toISOString(),
  };
  return encodeSecuredEvent(event, output.format);
}

/** The secured record of a connection's stored state, or the reason why it must not be published. */
export function recordOrRefusal(
  connection: ConnectionRow,
  { references, foreign }: LockedState,
  context: SecuredContext,
): OutgoingRecord | EventError {
  try {
    return securedRecord(connection, references, foreign, context);
  } catch (error) {
    if (error instanceof EventError) return error;
    throw error;
  }
}

function storeOf({ provider, location }: SecuredContext['manager']): SecuredEvent['store'] {
  return { provider, ...location };
}

/**
 * Refuses a state with a reference, in a secret field or elsewhere, that belongs to another connection.
 *
 * @throws EventError REFERENCE_FOREIGN, REFERENCE_INVALID
 */
export function refuseForeign(
  { entity }: Pick<ConnectionRow, 'entity'>,
  references: readonly ReferenceRow[],
  foreign: LockedState['foreign'],
  context: Pick<SecuredContext, 'ids' | 'rings'>,
): void {
  for (const row of references) throwRefusal(refusalOfStored(row, foreign, context), row.pointer);
  const ownIds = new Set(references.map(({ secretId }) => secretId));
  refusePlainReferences(entity, ownIds, foreign, context.ids);
}

/** The names in a stored state whose owners {@link refuseForeign} must know. */
export function readingsOfState(
  { entity }: Pick<ConnectionRow, 'entity'>,
  references: readonly ReferenceRow[],
  { rings }: Pick<SecuredContext, 'rings'>,
): string[] {
  return [...readingsOfPlain(entity), ...readingsOfStored(references, rings.database)];
}

/** The source record of a connection's newest revision. If an earlier version wrote the row: as far as it is known. */
export function sourceOf({ securedFrom, eventId, appliedOrder }: ConnectionRow): SecuredEvent['source'] {
  return (
    securedFrom?.source ?? {
      eventId: eventId ?? '',
      topic: appliedOrder?.topic ?? '',
      partition: appliedOrder?.partition ?? 0,
      offset: appliedOrder?.offset ?? 0,
    }
  );
}
