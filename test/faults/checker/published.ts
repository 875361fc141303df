import { EVENT_TYPES, type EventType, type JsonObject } from '../../../src/terms.js';
import type { FieldText, PublishedEvent } from './types.js';

/** As much of a change event as the checker reads. */
export interface ChangeEvent {
  readonly id: string;
  readonly eventType: string;
  readonly entityId: string;
  readonly timestamp: number;
  readonly currentVersion?: number;
  readonly entity?: unknown;
}

export interface PublishedOptions {
  /** JSON Pointers of all secret fields that any of the events has. Default: the password of a MySQL service. */
  readonly secretPointers?: readonly string[];
  readonly place?: PublishedEvent['place'];
  readonly expect?: PublishedEvent['expect'];
}

/** What the checker is told of a bare change event that a test publishes. */
export function publishedEvent(
  event: ChangeEvent,
  { secretPointers = ['/connection/config/password'], place, expect = 'accepted' }: PublishedOptions = {},
): PublishedEvent {
  const eventType = EVENT_TYPES.find((known) => known === event.eventType);
  if (eventType === undefined) throw new TypeError(`${event.eventType} is no event type`);
  const entity = (event.entity ?? null) as JsonObject | null;
  const version =
    typeof entity?.['version'] === 'number' ? entity['version'] : (event.currentVersion ?? null);
  return {
    eventId: event.id,
    connectionId: event.entityId,
    eventType,
    timestampMs: event.timestamp,
    version,
    fields: fieldsOf(entity, eventType, secretPointers),
    entity,
    expect,
    ...(place === undefined ? {} : { place }),
  };
}

function fieldsOf(
  entity: JsonObject | null,
  eventType: EventType,
  pointers: readonly string[],
): Record<string, FieldText> {
  if (entity === null || eventType === 'entityDeleted') return {};
  const fields: Record<string, FieldText> = {};
  for (const pointer of pointers) {
    const value = valueAt(entity, pointer);
    if (value !== undefined && value !== null && typeof value !== 'string')
      throw new TypeError(`${pointer} is no text: say what it means in an event of your own`);
    if (value !== undefined) fields[pointer] = value;
  }
  return fields;
}

/** RFC 6901; undefined where there is nothing. */
export function valueAt(root: unknown, pointer: string): unknown {
  let at: unknown = root;
  for (const part of segments(pointer)) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

/** A copy without these places, and without what a worker drops: texts of changes. */
export function withoutPlaces(root: unknown, pointers: readonly string[]): unknown {
  const copy = structuredClone(root);
  for (const pointer of pointers) {
    const parts = segments(pointer);
    const last = parts.pop();
    const parent = valueAt(copy, parts.map((part) => `/${escape(part)}`).join(''));
    if (typeof parent === 'object' && parent !== null && last !== undefined)
      delete (parent as Record<string, unknown>)[last];
  }
  if (typeof copy === 'object' && copy !== null) {
    delete (copy as Record<string, unknown>)['changeDescription'];
    delete (copy as Record<string, unknown>)['incrementalChangeDescription'];
  }
  return copy;
}

function segments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function escape(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}
