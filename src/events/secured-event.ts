import type { SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import { encodeCloudEvent, type CloudEventMode } from './cloud-event.js';

export const SECURED_EVENT_TYPE = 'connection.secured';

/**
 * A secured event as a CloudEvents 1.0 record: docs/schemas/connection.secured.cloudevent.json in structured mode,
 * docs/schemas/connection.secured.json with `ce_*` headers in binary mode. The record's key is the connection's id.
 */
export function encodeSecuredEvent(event: SecuredEvent, mode: CloudEventMode = 'structured'): OutgoingRecord {
  const { connectionId, generation, revision, time } = event;
  const attributes = {
    id: `${connectionId}:${String(generation)}:${String(revision)}`,
    source: '/connection-secrets',
    type: SECURED_EVENT_TYPE,
    subject: connectionId,
    time,
  };
  return { stream: 'secured', key: connectionId, ...encodeCloudEvent(attributes, dataOf(event), mode) };
}

/** Copies member by member, so that nothing else that an object happens to carry gets into the topic. */
function dataOf(event: SecuredEvent): SecuredEvent {
  const { eventId, topic, partition, offset } = event.source;
  return {
    connectionId: event.connectionId,
    entityType: event.entityType,
    serviceType: event.serviceType,
    name: event.name,
    fullyQualifiedName: event.fullyQualifiedName,
    version: event.version,
    revision: event.revision,
    operation: event.operation,
    generation: event.generation,
    manager: event.manager,
    store: { ...event.store },
    entity: event.entity,
    secretFields: event.secretFields.map(({ path, reference, owned }) => ({ path, reference, owned })),
    source: { eventId, topic, partition, offset },
    time: event.time,
  };
}
