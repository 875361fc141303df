/**
 * The words of this project and the types that go with them. Imports nothing, so that everything may import it.
 *
 * - **source event**: one record of `connection.created/updated/deleted`, the full state of one entity after a change
 * - **connection**: the entity whose secrets we keep (service connection, bot, ingestion pipeline, workflow)
 * - **secret field**: a string at a JSON path of the entity that is a password, key or token
 * - **secrets manager**: where values go; its **store** is the thing behind it
 * - **secret id**: the name in the store; **reference**: `secret:` + secret id, what replaces the value
 * - **owned / external reference**: written by us / typed by a user (never written, never deleted)
 * - **sealed**: Fernet-encrypted, `fernet:` + token
 * - **revision**: grows by one with every `connection.secured` of a connection
 * - **dead letter**: an event that cannot be processed as it is, kept until somebody acts
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** What the metadata server sends in place of a password it does not show. Which texts count as one: masks.ts. */
export const MASK = '*********';

export const SERVICE_KINDS = [
  'api',
  'dashboard',
  'database',
  'drive',
  'llm',
  'mcp',
  'messaging',
  'metadata',
  'mlmodel',
  'pipeline',
  'search',
  'security',
  'storage',
] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];

/** First segment of a secret id after the cluster. A pipeline *service* and an ingestion pipeline share the word. */
export const KINDS = [...SERVICE_KINDS, 'bot', 'workflow'] as const;
export type Kind = (typeof KINDS)[number];

/** What sort of entity a connection is: decides where its secret fields are looked for. */
export type EntityRoot = 'service' | 'bot' | 'ingestionPipeline' | 'workflow';

export const EVENT_TYPES = [
  'entityCreated',
  'entityUpdated',
  'entitySoftDeleted',
  'entityRestored',
  'entityDeleted',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Types of change events that carry no new state of an entity: those of OpenMetadata. */
export const STATELESS_TYPES = [
  'entityFieldsChanged',
  'entityNoChange',
  'threadCreated',
  'threadUpdated',
  'postCreated',
  'postUpdated',
  'taskResolved',
  'taskClosed',
  'logicalTestCaseAdded',
  'suggestionCreated',
  'suggestionUpdated',
  'suggestionAccepted',
  'suggestionRejected',
  'suggestionDeleted',
  'userLogin',
  'userLogout',
] as const;

export type Operation =
  'created' | 'updated' | 'softDeleted' | 'restored' | 'deleted' | 'migrated' | 'rotated' | 'republished';

/** A word of a newer worker, which this version does not know: read as text. Beside known words, which stay listed. */
export type OtherWord = string & Record<never, never>;

/** A secrets manager by its SECRET_MANAGER name: one of MANAGER_NAMES (src/secrets-managers/providers.ts). */
export type ManagerName = string;

/** Where names are looked up: the provider, and in its own words where (`region`, `account`, …). Nothing of it is secret. */
export interface StoreLocation {
  readonly provider: string;
  readonly [word: string]: string;
}

export const SECRET_PREFIX = 'secret:';
export const FERNET_PREFIX = 'fernet:';
/** What stands in an entity in place of a value: the name of a secret in a store, or the sealed value itself. */
export type Reference = `secret:${string}` | `fernet:${string}`;

/** What became of one source record. All of these are durable: the record may be acknowledged. */
export type RecordOutcome =
  'applied' | 'duplicate' | 'stale' | 'waiting' | 'refused' | 'blocked' | 'tombstone' | 'ignored';

/** One record as it came from a transport. A pipe's line number is its offset, on partition 0. */
export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  /** The record's own time, milliseconds since the epoch. */
  readonly timestampMs: number;
  /** Of a line of a pipe: keyed digest of its content, by which it is known. Every file has a line 0. */
  readonly digest?: string;
  /** Set where it has neither value nor headers because they could not be read. */
  readonly unread?: Unread;
}

/**
 * The reasons why a record comes without its value. `damaged`: its batch cannot be decompressed. `row-bytes`: it was read,
 * but it is more than the database takes in one row. The others: it is over a limit of src/limits.ts.
 */
export const UNREAD_REASONS = [
  'record-bytes',
  'record-headers',
  'batch-bytes',
  'batch-records',
  'damaged',
  'row-bytes',
] as const;

/** Why a record comes without its value, and how much there was of what. */
export interface Unread {
  readonly reason: (typeof UNREAD_REASONS)[number];
  /** Bytes, headers or records; of a batch the bytes as they are compressed. */
  readonly size: number;
  /** Of what it stands for; the last one is the record's own. */
  readonly firstOffset: number;
  /** Keyed digest of the content, in hexadecimal digits, where the place alone does not say which: a line of a pipe, a value. */
  readonly digest?: string;
}

/** Where a source event came from. */
export interface SourcePosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Which of two states of a connection is newer: by time, then version, then offset within one partition, then digest.
 * `version` is null where the event has none (older than any number).
 */
export interface EventOrder {
  readonly timestampMs: number;
  readonly version: number | null;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Keyed digest of the content (hex), so that equal states are recognised without keeping their values. */
  readonly digest: string;
}

/** When a record was published of which no event could be read: all that tells whether another event is later. */
export interface Publication {
  /** The record's own time, milliseconds since the epoch. */
  readonly publishedAtMs: number;
  /** A line of a pipe, whose place says nothing: every file has a line 0. */
  readonly isLine?: true;
}

/** A decoded source event. `entity` is null only for a deletion that carried none. */
export interface SourceEvent {
  readonly eventId: string;
  readonly eventType: EventType;
  readonly entityType: string;
  readonly root: EntityRoot;
  readonly kind: Kind;
  readonly connectionId: string;
  readonly serviceType: string | null;
  /** The entity's name; null only for a deletion that carried no entity. */
  readonly name: string | null;
  readonly fullyQualifiedName: string | null;
  readonly timestampMs: number;
  readonly version: number | null;
  /** `userName` of the change event: who changed the entity. */
  readonly actor: string | null;
  /** The full state, without `changeDescription` and `incrementalChangeDescription`. */
  readonly entity: JsonObject | null;
  readonly source: SourcePosition;
}

/** One secret field of a secured event. `path` is a JSON Pointer (RFC 6901) into `entity`. */
export interface SecuredField {
  readonly path: string;
  readonly reference: Reference;
  readonly owned: boolean;
}

/** The data of a `connection.secured` event: docs/schemas/connection.secured.json. */
export interface SecuredEvent {
  readonly connectionId: string;
  readonly entityType: string;
  readonly serviceType: string | null;
  readonly name: string | null;
  readonly fullyQualifiedName: string | null;
  readonly version: number | null;
  readonly revision: number;
  readonly operation: Operation | OtherWord;
  /** Milliseconds since the epoch at which the database was created or declared restored. */
  readonly generation: number;
  /** Also one that only a newer worker knows. */
  readonly manager: ManagerName;
  readonly store: StoreLocation;
  /** As it came in, with references in place of values; null when deleted. */
  readonly entity: JsonObject | null;
  readonly secretFields: readonly SecuredField[];
  readonly source: {
    readonly eventId: string;
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
  };
  /** RFC 3339, UTC. */
  readonly time: string;
}

/** Which of the installations that may share a store this is. */
export interface Installation {
  readonly id: string;
  /**
   * Which secrets of ours carry the tag with this id. `all`; `some`: version 0.1 made the others without it, and they are
   * ours too; `own`: the database is a copy: what it made itself carries the tag, all else is the original's. Only with
   * `all` a known secret is written without a look at its tags.
   */
  readonly tagged: 'all' | 'some' | 'own';
}
