import { readFileSync } from 'node:fs';
import { decodeRecord, type Decoded, type SourceTopics } from '../../../src/events/decode.js';
import type { EventErrorCode } from '../../../src/errors.js';
import type { Json, JsonObject, SecuredEvent, SourceEvent, SourceRecord } from '../../../src/terms.js';

export const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
} as const;

export const NOW_MS = 1_800_000_000_000;

export interface SampleRecord {
  readonly topic: string;
  readonly headers?: Record<string, string>;
  readonly value: JsonObject;
}

export function sampleRecords(): SampleRecord[] {
  const url = new URL('data/records.json', import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as SampleRecord[];
}

export function record(
  value: Json | Buffer | undefined,
  change: Partial<Omit<SourceRecord, 'value' | 'headers'>> & { headers?: Record<string, string> } = {},
): SourceRecord {
  const { headers = {}, ...rest } = change;
  return {
    topic: TOPICS.updated,
    partition: 2,
    offset: 7,
    key: null,
    timestampMs: 1_700_000_000_000,
    value: value === undefined ? null : Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)),
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
    ...rest,
  };
}

/** A valid change event of a database service, with members replaced or (undefined) left out. */
export function change(members: Record<string, Json | undefined> = {}): JsonObject {
  const event = {
    id: 'event-1',
    eventType: 'entityUpdated',
    entityType: 'databaseService',
    entityId: 'connection-1',
    currentVersion: 0.2,
    userName: 'admin',
    timestamp: 1_790_000_000_000,
    entity: entity(),
    ...members,
  };
  return JSON.parse(JSON.stringify(event)) as JsonObject;
}

export function entity(members: Record<string, Json | undefined> = {}): JsonObject {
  const state = {
    id: 'connection-1',
    name: 'mysql-test',
    fullyQualifiedName: 'mysql-test',
    serviceType: 'Mysql',
    version: 0.3,
    connection: { config: { type: 'Mysql', password: 'p' } },
    ...members,
  };
  return JSON.parse(JSON.stringify(state)) as JsonObject;
}

export function decode(source: SourceRecord, topics: SourceTopics = TOPICS): Decoded {
  return decodeRecord(source, topics, NOW_MS);
}

export function decodedEvent(source: SourceRecord): SourceEvent {
  const decoded = decode(source);
  if (decoded.kind !== 'event') {
    throw new Error(decoded.kind === 'undecodable' ? decoded.error.message : decoded.kind);
  }
  return decoded.event;
}

export function refused(source: SourceRecord): Extract<Decoded, { kind: 'undecodable' }> {
  const decoded = decode(source);
  if (decoded.kind !== 'undecodable') throw new Error(`not refused: ${decoded.kind}`);
  return decoded;
}

export function refusalOf(source: SourceRecord): [code: EventErrorCode, field: string | null] {
  const { error } = refused(source);
  return [error.code, error.field];
}

export function securedEvent(members: Partial<SecuredEvent> = {}): SecuredEvent {
  return {
    connectionId: 'connection-1',
    entityType: 'databaseService',
    serviceType: 'Mysql',
    name: 'größe 1',
    fullyQualifiedName: 'größe 1',
    version: 0.3,
    revision: 4,
    operation: 'updated',
    generation: 1_790_000_000_000,
    manager: 'managed-aws',
    store: { provider: 'aws-secrets-manager', region: 'eu-west-1' },
    entity: { name: 'größe 1', connection: { config: { password: 'secret:/a/b' } } },
    secretFields: [{ path: '/connection/config/password', reference: 'secret:/a/b', owned: true }],
    source: { eventId: 'event-1', topic: TOPICS.updated, partition: 2, offset: 7 },
    time: '2026-09-21T14:13:20.000Z',
    ...members,
  };
}

export { schema } from '../../harness/schemas.js';
