import { generateKey, isSealed, KeyRing, openSealed, unpackEnvelope } from '../../../src/fernet/index.js';
import type { EntityChange } from '../../../src/publisher/index.js';
import type { Json, JsonObject } from '../../../src/terms.js';

export const KEY = generateKey();
export const RING = KeyRing.parse('KEY', KEY);
export const ID = '11111111-0000-4000-8000-000000000001';

/** A change of a MySQL service as a metadata server has it. */
export function mysqlChange(config: JsonObject = {}, changes: Partial<EntityChange> = {}): EntityChange {
  return {
    eventType: 'entityUpdated',
    entityType: 'databaseService',
    userName: 'admin',
    timestamp: 1_700_000_000_000,
    entity: {
      id: ID,
      name: 'mysql-test',
      fullyQualifiedName: 'mysql-test',
      serviceType: 'Mysql',
      version: 0.2,
      connection: { config: { type: 'Mysql', username: 'openmetadata_user', ...config } },
    },
    ...changes,
  };
}

/** A value's data with every token of {@link KEY} opened. */
export function opened(value: Json): Json {
  if (typeof value === 'string')
    return isSealed(value) ? (unpackEnvelope(openSealed(RING, value))?.value ?? null) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(opened);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, opened(member)]));
}
