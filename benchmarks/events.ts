import type { JsonObject, SourceRecord } from '../src/terms.js';

export const TOPICS = { created: 'created', updated: 'updated', deleted: 'deleted' };

const DESCRIPTION = 'Orders of the shop and what became of them, loaded every hour. '.repeat(16);

/** Event `index` of connection `index % connections`: a new password each time, and a kilobyte that is no secret. */
export function changeEvent(index: number, connections: number): JsonObject {
  const connection = `connection-${index % connections}`;
  return {
    id: `event-${index}`,
    eventType: index < connections ? 'entityCreated' : 'entityUpdated',
    entityType: 'databaseService',
    entityId: connection,
    timestamp: 1_790_000_000_000 + index,
    entity: {
      id: connection,
      name: connection,
      serviceType: 'Mysql',
      description: DESCRIPTION,
      connection: {
        config: {
          type: 'Mysql',
          username: 'u',
          authType: { password: `value-${index}` },
          hostPort: 'h:3306',
        },
      },
    },
  };
}

export function recordOf(index: number, connections: number): SourceRecord {
  const value = Buffer.from(JSON.stringify(changeEvent(index, connections)));
  return { topic: 'created', partition: 0, offset: index, key: null, value, headers: {}, timestampMs: 0 };
}
