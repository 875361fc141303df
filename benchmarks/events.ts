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
  return record(changeEvent(index, connections), index);
}

function record(event: JsonObject, offset: number): SourceRecord {
  const value = Buffer.from(JSON.stringify(event));
  return { topic: 'created', partition: 0, offset, key: null, value, headers: {}, timestampMs: 0 };
}

/** As many newer events, each with what its connection has after all events of {@link recordOf}. */
export function unchangedRecords(events: number, connections: number): SourceRecord[] {
  return Array.from({ length: events }, (_, number) => {
    const connection = number % connections;
    const newest = events - connections + ((connection - (events % connections) + connections) % connections);
    const timestamp = 1_790_000_000_000 + events + number;
    const event = { ...changeEvent(newest, connections), id: `again-${number}`, timestamp };
    return record(event, events + number);
  });
}
