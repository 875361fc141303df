import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { encodeSecuredEvent } from '../events/secured-event.js';
import type { JsonObject, SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import type { PlanContext } from './context.js';
import { fillEntity } from './entity.js';
import { emittedReference, type EmitContext } from './references.js';

/** What a secured event is made from besides the connection's state. */
export type SecuredContext = EmitContext &
  Pick<PlanContext, 'manager' | 'generation'> & { readonly output: Pick<PlanContext['output'], 'format'> };

/** The record of `connection.secured` that says a connection's present state. */
export function securedRecord(
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  source: SecuredEvent['source'],
  nowMs: number,
  context: SecuredContext,
): OutgoingRecord {
  const { manager, generation, output } = context;
  const emitted = references.map((row) => ({ row, reference: emittedReference(row, context) }));
  const entity = connection.entity === null ? null : (JSON.parse(connection.entity) as JsonObject);
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

/** The event that a stored state comes from: the source of a secured event that has none of its own. */
export function sourceOf({ eventId, appliedOrder }: ConnectionRow): SecuredEvent['source'] {
  return {
    eventId: eventId ?? '',
    topic: appliedOrder?.topic ?? '',
    partition: appliedOrder?.partition ?? 0,
    offset: appliedOrder?.offset ?? 0,
  };
}
