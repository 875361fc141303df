import { EntitySchema, type EntitySchemaColumnOptions, type ValueTransformer } from 'typeorm';
import { columnDefinition, type ColumnKind, type Dialect } from './dialect.js';
import type {
  AuditRow,
  ConnectionRow,
  DeadLetterRow,
  InboxRow,
  OperationRow,
  OutboxRow,
  ReferenceRow,
  SettingRow,
  StoredSecretRow,
} from './rows.js';

/** Drivers hand 64-bit integers out as strings; ours are milliseconds, epochs and offsets, below 2^53. */
const asNumber: ValueTransformer = {
  to: (value: number | null) => value,
  from: (value: string | number | null) => (value === null ? null : Number(value)),
};

/** Marks an escape; Unicode gives this code point to no character, so no other text is changed. */
const ESCAPE = '\uFDD0';

/**
 * PostgreSQL's text takes neither NUL nor half a surrogate pair. Both are escaped, in every database, so that a text is
 * read as it was written: a field is known by its path, and the keys in that path are any texts.
 */
const asText: ValueTransformer = {
  to: (value: string | null) =>
    value?.replace(
      /[\0\uFDD0\uD800-\uDFFF]/gu,
      (character) => ESCAPE + character.charCodeAt(0).toString(16).padStart(4, '0'),
    ) ?? null,
  from: (value: string | null) =>
    value?.replace(/\uFDD0([0-9a-f]{4})/gu, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    ) ?? null,
};

/** Kafka's topics are ASCII and short; a line of a pipe names any text it likes, and must not stop the ones after it. */
const asTopic: ValueTransformer = {
  to: (value: string) => value.replace(/[^\x20-\x7e]/gu, '?').slice(0, 255),
  from: (value: string) => value,
};

const asJson: ValueTransformer = {
  to: (value: unknown) => (value === null || value === undefined ? null : JSON.stringify(value)),
  from: (value: string | null): unknown => (value === null ? null : JSON.parse(value)),
};

const TRANSFORMERS: Partial<Record<ColumnKind, ValueTransformer>> = { bigint: asNumber, text: asText };

interface ColumnOptions {
  nullable?: boolean;
  primary?: boolean;
  json?: boolean;
}

type Column = (name: string, kind: ColumnKind, options?: ColumnOptions) => EntitySchemaColumnOptions;

function columnsOf(dialect: Dialect): Column {
  return (name, kind, { nullable = false, primary = false, json = false } = {}) => {
    const transformer = json ? asJson : TRANSFORMERS[kind];
    return {
      name,
      ...columnDefinition(dialect, kind),
      ...(primary ? { primary: true } : { nullable }),
      ...(transformer === undefined ? {} : { transformer }),
    };
  };
}

export type Tables = ReturnType<typeof tablesOf>;

/** The tables as TypeORM entities, every column type explicit. The migrations make them; a test compares the two. */
export function tablesOf(dialect: Dialect) {
  const column = columnsOf(dialect);
  const nullable = { nullable: true };
  const primary = { primary: true };
  return {
    connection: new EntitySchema<ConnectionRow>({
      name: 'connection',
      columns: {
        id: column('id', 'ascii', primary),
        entityType: column('entity_type', 'word', nullable),
        root: column('root', 'word', nullable),
        kind: column('kind', 'word', nullable),
        serviceType: column('service_type', 'text', nullable),
        name: column('name', 'text', nullable),
        fullyQualifiedName: column('fully_qualified_name', 'text', nullable),
        version: column('version', 'double', nullable),
        state: column('state', 'word'),
        manager: column('manager', 'word', nullable),
        revision: column('revision', 'integer'),
        operation: column('operation', 'word', nullable),
        entity: column('entity', 'text', nullable),
        appliedOrder: column('applied_order', 'text', { nullable: true, json: true }),
        eventId: column('event_id', 'text', nullable),
        securedFrom: column('secured_from', 'text', { nullable: true, json: true }),
        unpublishedSinceMs: column('unpublished_since_ms', 'bigint', nullable),
        claimOwner: column('claim_owner', 'word', nullable),
        claimEpoch: column('claim_epoch', 'bigint'),
        claimExpiresAtMs: column('claim_expires_at_ms', 'bigint'),
        createdAtMs: column('created_at_ms', 'bigint'),
        updatedAtMs: column('updated_at_ms', 'bigint'),
      },
      indices: [{ name: 'connection_unpublished', columns: ['unpublishedSinceMs'] }],
    }),
    reference: new EntitySchema<ReferenceRow>({
      name: 'secret_reference',
      columns: {
        connectionId: column('connection_id', 'ascii', primary),
        pathHash: column('path_hash', 'hash', primary),
        path: column('path', 'text'),
        pointer: column('pointer', 'text'),
        holds: column('holds', 'word'),
        sealed: column('sealed', 'text'),
        owned: column('owned', 'boolean'),
        fingerprint: column('fingerprint', 'hash', nullable),
        referenceHash: column('reference_hash', 'hash', nullable),
        secretId: column('secret_id', 'text', nullable),
        digest: column('digest', 'hash', nullable),
        setOrder: column('set_order', 'text', { json: true }),
      },
      indices: [{ name: 'secret_reference_hash', columns: ['referenceHash'] }],
    }),
    storedSecret: new EntitySchema<StoredSecretRow>({
      name: 'stored_secret',
      columns: {
        manager: column('manager', 'word', primary),
        secretIdHash: column('secret_id_hash', 'hash', primary),
        secretId: column('secret_id', 'text'),
        connectionId: column('connection_id', 'ascii'),
        state: column('state', 'word'),
        epoch: column('epoch', 'bigint'),
        version: column('version', 'text', nullable),
        suspectUntilMs: column('suspect_until_ms', 'bigint', nullable),
        dueAtMs: column('due_at_ms', 'bigint', nullable),
        updatedAtMs: column('updated_at_ms', 'bigint'),
      },
      indices: [
        { name: 'stored_secret_hash', columns: ['secretIdHash'] },
        { name: 'stored_secret_connection', columns: ['connectionId'] },
        { name: 'stored_secret_state', columns: ['state', 'dueAtMs'] },
        { name: 'stored_secret_suspect', columns: ['suspectUntilMs'] },
      ],
    }),
    inbox: new EntitySchema<InboxRow>({
      name: 'inbox',
      columns: {
        eventHash: column('event_hash', 'hash', primary),
        connectionId: column('connection_id', 'ascii', nullable),
        eventId: column('event_id', 'text'),
        outcome: column('outcome', 'word'),
        code: column('code', 'word', nullable),
        topic: { ...column('topic', 'ascii'), transformer: asTopic },
        partition: column('partition_number', 'integer'),
        position: column('position', 'bigint'),
        atMs: column('at_ms', 'bigint'),
        digest: column('digest', 'hash', nullable),
        openedDigest: column('opened_digest', 'hash', nullable),
      },
      indices: [{ name: 'inbox_at', columns: ['atMs'] }],
    }),
    outbox: new EntitySchema<OutboxRow>({
      name: 'outbox',
      columns: {
        id: column('id', 'word', primary),
        connectionId: column('connection_id', 'ascii', nullable),
        stream: column('stream', 'word'),
        revision: column('revision', 'integer'),
        payload: column('payload', 'text'),
        createdAtMs: column('created_at_ms', 'bigint'),
        sentAtMs: column('sent_at_ms', 'bigint', nullable),
      },
      indices: [
        { name: 'outbox_unsent', columns: ['sentAtMs', 'createdAtMs'] },
        { name: 'outbox_connection', columns: ['connectionId', 'sentAtMs'] },
      ],
    }),
    deadLetter: new EntitySchema<DeadLetterRow>({
      name: 'dead_letter',
      columns: {
        eventHash: column('event_hash', 'hash', primary),
        connectionId: column('connection_id', 'ascii', nullable),
        state: column('state', 'word'),
        code: column('code', 'word'),
        detail: column('detail', 'text'),
        eventId: column('event_id', 'text', nullable),
        topic: { ...column('topic', 'ascii'), transformer: asTopic },
        partition: column('partition_number', 'integer'),
        position: column('position', 'bigint'),
        eventOrder: column('event_order', 'text', { nullable: true, json: true }),
        sets: column('sets', 'text', { nullable: true, json: true }),
        payload: column('payload', 'text'),
        attempts: column('attempts', 'integer'),
        waitUntilMs: column('wait_until_ms', 'bigint', nullable),
        nextAttemptAtMs: column('next_attempt_at_ms', 'bigint', nullable),
        createdAtMs: column('created_at_ms', 'bigint'),
        updatedAtMs: column('updated_at_ms', 'bigint'),
      },
      indices: [
        {
          name: 'dead_letter_connection_order',
          columns: ['connectionId', 'createdAtMs', 'eventHash'],
        },
        { name: 'dead_letter_next_attempt', columns: ['nextAttemptAtMs'] },
      ],
    }),
    audit: new EntitySchema<AuditRow>({
      name: 'audit',
      columns: {
        id: column('id', 'word', primary),
        atMs: column('at_ms', 'bigint'),
        action: column('action', 'word'),
        actor: column('actor', 'text', nullable),
        connectionId: column('connection_id', 'ascii', nullable),
        path: column('path', 'text', nullable),
        secretId: column('secret_id', 'text', nullable),
        eventId: column('event_id', 'text', nullable),
        detail: column('detail', 'text', nullable),
        fields: column('fields', 'text', { nullable: true, json: true }),
      },
      indices: [
        { name: 'audit_connection', columns: ['connectionId', 'atMs'] },
        { name: 'audit_at', columns: ['atMs'] },
      ],
    }),
    operation: new EntitySchema<OperationRow>({
      name: 'operation',
      columns: {
        id: column('id', 'word', primary),
        kind: column('kind', 'word'),
        state: column('state', 'word'),
        parameters: column('parameters', 'text'),
        progress: column('progress', 'text'),
        createdAtMs: column('created_at_ms', 'bigint'),
        updatedAtMs: column('updated_at_ms', 'bigint'),
      },
    }),
    setting: new EntitySchema<SettingRow>({
      name: 'setting',
      columns: {
        name: column('name', 'word', primary),
        value: column('value', 'text'),
      },
    }),
  };
}
