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
  /** Its references were judged when it was made. Absent: an earlier version made it, which judged less. */
  readonly isJudged?: true;
}

/** Rows that were made here, and what they hold: it is sent without being opened again. Gone with its row, never printed. */
const MADE = new WeakMap<OutboxRow, OutgoingRecord>();

/** A record on its way out as it lies in the database: sealed, so that no reference is there in clear. */
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
  /** Of its row; null: it is the newest revision's, which has none. */
  readonly id: string | null;
  readonly revision: number;
  readonly record: OutgoingRecord;
  /** False: a secured event of an earlier version. The relay judges it; nobody else sends it. */
  readonly isJudged: boolean;
}

/** Rows as they are sent, without those that no key opens, of which `onUnpublished` is told. */
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

/** What a secured event is made from besides the connection's state. */
export type SecuredContext = EmitContext &
  Pick<PlanContext, 'manager' | 'generation'> & {
    readonly ids: OwnNames;
    readonly output: Pick<PlanContext['output'], 'format'>;
  };

/** A connection's row with its next revision, which waits to be published from now on. */
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
 * The record of `connection.secured` that says a connection's present state: the same one whenever it is made. Whatever
 * goes out goes through here, so a reference that may not is stopped here, however long ago it was taken in.
 *
 * @param foreign whose the names are that {@link readingsOfState} tells
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

/** The record of a connection as it lies in the database; why it may not go out, where it may not. */
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
 * Whether this state may go out: no reference in it, in a secret field or elsewhere, is another connection's.
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

/** The names whose owners {@link refuseForeign} has to know, of a state as it is stored. */
export function readingsOfState(
  { entity }: Pick<ConnectionRow, 'entity'>,
  references: readonly ReferenceRow[],
  { rings }: Pick<SecuredContext, 'rings'>,
): string[] {
  return [...readingsOfPlain(entity), ...readingsOfStored(references, rings.database)];
}

/** The record that a connection's newest revision comes from; of an earlier version, as far as it is known. */
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
