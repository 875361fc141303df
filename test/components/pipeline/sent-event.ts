import type { SecuredEvent } from '../../../src/terms.js';
import type { OutgoingRecord } from '../../../src/transport.js';

/** The data of a secured event as it stands in the topic, with the CloudEvent's id. */
export type SentEvent = SecuredEvent & { readonly cloudEventId: string };

export function parseSecured(record: OutgoingRecord): SentEvent {
  const cloudEvent = JSON.parse(record.value?.toString('utf8') ?? '') as { id: string; data: SecuredEvent };
  return { ...cloudEvent.data, cloudEventId: cloudEvent.id };
}

/** References of a secured event by path. */
export function referencesOf(event: SentEvent | undefined): Record<string, string> {
  return Object.fromEntries((event?.secretFields ?? []).map(({ path, reference }) => [path, reference]));
}

/** The config of a service connection, as sent. */
export function configOf(event: SentEvent | undefined): Record<string, unknown> {
  const connection = event?.entity?.['connection'] as { config: Record<string, unknown> } | undefined;
  return connection?.config ?? {};
}
