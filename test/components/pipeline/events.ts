import { randomUUID } from 'node:crypto';
import type { Json, JsonObject, SourceRecord } from '../../../src/terms.js';

export const T0 = 1_790_000_000_000;
export const MASKED = '*********';

export interface EventSpec {
  readonly id?: string;
  readonly name?: string;
  /** Order: seconds after {@link T0}. */
  readonly at?: number;
  readonly version?: number | null;
  readonly eventId?: string;
  readonly eventType?: string;
  readonly serviceType?: string;
  /** Members of `connection.config`. */
  readonly config?: Record<string, Json>;
  /** Shorthand for `config.password`. */
  readonly password?: Json;
  readonly actor?: string;
}

let lastOffset = 0;

/** A source record as a Kafka consumer hands it over; every call is a place of its own. */
export function sourceRecord(value: unknown, more: Partial<SourceRecord> = {}): SourceRecord {
  lastOffset += 1;
  const bytes = Buffer.isBuffer(value)
    ? value
    : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  return {
    topic: 'connection.updated',
    partition: 0,
    offset: lastOffset,
    key: null,
    value: bytes,
    headers: {},
    timestampMs: T0,
    ...more,
  };
}

/** A change event of a Mysql service. */
export function changeEvent(spec: EventSpec): JsonObject {
  const { id = CONNECTION, name = 'mysql-test', at = 1, version = 0.1, eventType = 'entityUpdated' } = spec;
  const { serviceType = 'Mysql', password, config = {} } = spec;
  return {
    id: spec.eventId ?? randomUUID(),
    eventType,
    entityType: serviceType === 'Mcp' ? 'mcpService' : 'databaseService',
    entityId: id,
    userName: spec.actor ?? 'admin',
    timestamp: T0 + at * 1_000,
    changeDescription: {
      fieldsUpdated: [{ oldValue: 'MARK-old-description', newValue: 'MARK-new-description' }],
    },
    entity: {
      id,
      name,
      fullyQualifiedName: name,
      serviceType,
      ...(version === null ? {} : { version }),
      connection: {
        config: {
          type: serviceType,
          username: 'u',
          ...(password === undefined ? {} : { password }),
          ...config,
        },
      },
    },
  };
}

export const CONNECTION = '11111111-0000-4000-8000-000000000001';
export const OTHER = '22222222-0000-4000-8000-000000000002';
/** The secret id of {@link changeEvent}'s password. */
export const PASSWORD_ID = '/openmetadata/database/mysql-test/password';
export const PASSWORD_PATH = '/connection/config/password';

export function eventRecord(spec: EventSpec, more: Partial<SourceRecord> = {}): SourceRecord {
  return sourceRecord(changeEvent(spec), more);
}

/** A hard deletion. */
export function deletion(at: number, more: EventSpec = {}): SourceRecord {
  return eventRecord({ at, eventType: 'entityDeleted', ...more }, { topic: 'connection.deleted' });
}
