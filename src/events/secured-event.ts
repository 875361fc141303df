import type { SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';

/** CloudEvents content mode (Kafka protocol binding 1.0.2 §3). */
export type CloudEventMode = 'structured' | 'binary';

export const SECURED_EVENT_TYPE = 'connection.secured';
export const SECURED_EVENT_SOURCE = '/connection-secrets';

/** The CloudEvent's id: `<connectionId>:<generation>:<revision>`. */
export function securedEventId(
  event: Pick<SecuredEvent, 'connectionId' | 'generation' | 'revision'>,
): string {
  return `${event.connectionId}:${String(event.generation)}:${String(event.revision)}`;
}

/**
 * A secured event as a CloudEvents 1.0 record: docs/schemas/connection.secured.cloudevent.json in
 * structured mode, docs/schemas/connection.secured.json with `ce_*` headers in binary mode. Key = connection id.
 */
export function encodeSecuredEvent(event: SecuredEvent, mode: CloudEventMode = 'structured'): OutgoingRecord {
  const attributes = {
    specversion: '1.0',
    id: securedEventId(event),
    source: SECURED_EVENT_SOURCE,
    type: SECURED_EVENT_TYPE,
    subject: event.connectionId,
    time: event.time,
  };
  const record = { stream: 'secured', key: event.connectionId } as const;
  if (mode === 'structured') {
    const envelope = { ...attributes, datacontenttype: 'application/json', data: dataOf(event) };
    return {
      ...record,
      value: Buffer.from(JSON.stringify(envelope), 'utf8'),
      headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
    };
  }
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  for (const [name, value] of Object.entries(attributes)) headers[`ce_${name}`] = value;
  return { ...record, value: Buffer.from(JSON.stringify(dataOf(event)), 'utf8'), headers };
}

/** Member by member, so that nothing else that an object happens to carry gets into the topic. */
function dataOf(event: SecuredEvent): SecuredEvent {
  const { provider, region, account } = event.store;
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
    store: {
      provider,
      ...(region === undefined ? {} : { region }),
      ...(account === undefined ? {} : { account }),
    },
    entity: event.entity,
    secretFields: event.secretFields.map(({ path, reference, owned }) => ({ path, reference, owned })),
    source: { eventId, topic, partition, offset },
    time: event.time,
  };
}
