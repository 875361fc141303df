import type { EventType } from '../terms.js';

/** Names of the three source topics; two or all of them may be one and the same. */
export interface SourceTopics {
  readonly created: string;
  readonly updated: string;
  readonly deleted: string;
}

/** What a topic says of its events; null where it serves several meanings, or is none of ours. */
export function eventTypeOfTopic(topic: string, topics: SourceTopics): EventType | null {
  const meanings: EventType[] = [];
  if (topic === topics.created) meanings.push('entityCreated');
  if (topic === topics.updated) meanings.push('entityUpdated');
  if (topic === topics.deleted) meanings.push('entityDeleted');
  return meanings.length === 1 ? (meanings[0] ?? null) : null;
}

/** The topic an event of this type belongs to. */
export function topicOfEventType(eventType: EventType, topics: SourceTopics): string {
  switch (eventType) {
    case 'entityCreated':
      return topics.created;
    case 'entityUpdated':
    case 'entityRestored':
      return topics.updated;
    case 'entitySoftDeleted':
    case 'entityDeleted':
      return topics.deleted;
  }
}

/**
 * What a CloudEvent type means: an event type itself, or `connection.created`, … between dots or alone
 * (`com.acme.connection.created.v1`); null for any other, and where it says two things.
 */
export function eventTypeOfCloudEvent(type: string): EventType | null {
  const own = CLOUD_EVENT_TYPES.get(type);
  if (own !== undefined) return own;
  const meant = CONNECTION_TYPES.filter((word) => `.${type}.`.includes(`.${word}.`));
  return meant.length === 1 ? (CLOUD_EVENT_TYPES.get(meant[0] ?? '') ?? null) : null;
}

const CONNECTION_TYPES = ['connection.created', 'connection.updated', 'connection.deleted'] as const;

const CLOUD_EVENT_TYPES: ReadonlyMap<string, EventType> = new Map([
  ['connection.created', 'entityCreated'],
  ['connection.updated', 'entityUpdated'],
  ['connection.deleted', 'entityDeleted'],
  ['entityCreated', 'entityCreated'],
  ['entityUpdated', 'entityUpdated'],
  ['entitySoftDeleted', 'entitySoftDeleted'],
  ['entityRestored', 'entityRestored'],
  ['entityDeleted', 'entityDeleted'],
]);
