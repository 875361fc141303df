import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { encodeSecuredEvent } from '../events/secured-event.js';
import type { SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import type { PlanContext } from './context.js';
import { entityOf, fillEntity } from './entity.js';
import type { LockedState } from './ledger.js';
import { readingsOfPlain, refusePlainReferences } from './plain-references.js';
import { readingsOfStored, refusalOfStored, throwRefusal, type OwnNames } from './reference-refusals.js';
import { emittedReference, type EmitContext } from './references.js';

/** What a secured event is made from besides the connection's state. */
export type SecuredContext = EmitContext &
  Pick<PlanContext, 'manager' | 'generation'> & {
    readonly ids: OwnNames;
    readonly output: Pick<PlanContext['output'], 'format'>;
  };

/**
 * The record of `connection.secured` that says a connection's present state. Whatever goes out goes through here, so a
 * reference that may not is stopped here, however long ago it was taken in.
 *
 * @param state the time, and whose the names are that {@link readingsOfState} tells
 * @throws EventError REFERENCE_ALTERED, REFERENCE_FOREIGN, REFERENCE_INVALID
 */
export function securedRecord(
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  source: SecuredEvent['source'],
  { nowMs, foreign }: Pick<LockedState, 'nowMs' | 'foreign'>,
  context: SecuredContext,
): OutgoingRecord {
  const { manager, generation, output } = context;
  const emitted = references.map((row) => ({ row, reference: emittedReference(row, context) }));
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
    manager: manager.name,
    store: {
      provider: manager.provider,
      ...(manager.region === undefined ? {} : { region: manager.region }),
      ...(manager.account === undefined ? {} : { account: manager.account }),
    },
    entity:
      entity === null
        ? null
        : fillEntity(
            entity,
            emitted.map(({ row, reference }) => [row.pointer, reference] as const),
          ),
    secretFields: emitted.map(({ row, reference }) => ({ path: row.pointer, reference, owned: row.owned })),
    source: {
      eventId: source.eventId,
      topic: source.topic,
      partition: source.partition,
      offset: source.offset,
    },
    time: new Date(nowMs).toISOString(),
  };
  return encodeSecuredEvent(event, output.format);
}

/** Why a state may not go out as it lies in the database; null: it may. */
export function refusalOfState(state: LockedState, context: SecuredContext): EventError | null {
  const { connection, references } = state;
  try {
    securedRecord(connection, references, sourceOf(connection), state, context);
    return null;
  } catch (error) {
    if (error instanceof EventError) return error;
    throw error;
  }
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

/** The event that a stored state comes from: the source of a secured event that has none of its own. */
export function sourceOf({ eventId, appliedOrder }: ConnectionRow): SecuredEvent['source'] {
  return {
    eventId: eventId ?? '',
    topic: appliedOrder?.topic ?? '',
    partition: appliedOrder?.partition ?? 0,
    offset: appliedOrder?.offset ?? 0,
  };
}
