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

/** What a CloudEvent type means: `connection.created`, …, or an event type itself; null for any other. */
export function eventTypeOfCloudEvent(type: string): EventType | null {
  return CLOUD_EVENT_TYPES.get(type) ?? null;
}

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
