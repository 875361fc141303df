/**
 * The words of this project and their types. This file imports nothing, so that every file can import it.
 *
 * - **source event**: one record of `connection.created/updated/deleted`, the full state of one entity after a change
 * - **connection**: the entity whose secrets we keep (service connection, bot, ingestion pipeline, workflow)
 * - **secret field**: a string at a JSON path of the entity that is a password, key or token
 * - **secrets manager**: where values go; its **store** is the service or file behind it
 * - **secret id**: the name in the store; **reference**: `secret:` + secret id, which replaces the value
 * - **owned / external reference**: written by us / typed by a user (never written, never deleted)
 * - **sealed**: Fernet-encrypted, `fernet:` + token
 * - **revision**: number of a connection that grows by one with each of its `connection.secured`
 * - **dead letter**: an event that cannot be processed as it is, kept until an operator acts
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The mask that the metadata server sends instead of a password. masks.ts says which texts are masks. */
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

/** Segment of a secret id after the cluster. A pipeline *service* and an ingestion pipeline have the same one. */
export const KINDS = [...SERVICE_KINDS, 'bot', 'workflow'] as const;
export type Kind = (typeof KINDS)[number];

/** The sort of entity: it decides where its secret fields are. */
export type EntityRoot = 'service' | 'bot' | 'ingestionPipeline' | 'workflow';

export const EVENT_TYPES = [
  'entityCreated',
  'entityUpdated',
  'entitySoftDeleted',
  'entityRestored',
  'entityDeleted',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** OpenMetadata's types of change events without a new state of an entity. */
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

/** A word of a newer worker that this version does not know. In a union with known words, editors still list those. */
export type OtherWord = string & Record<never, never>;

/** A secrets manager by its SECRET_MANAGER name: one of MANAGER_NAMES (src/secrets-managers/providers.ts). */
export type ManagerName = string;

/** Where secret ids are looked up: the provider, and its own words for the place (`region`, `account`, …). Not secret. */
export interface StoreLocation {
  readonly provider: string;
  readonly [word: string]: string;
}

export const SECRET_PREFIX = 'secret:';
export const FERNET_PREFIX = 'fernet:';
/** Replaces a value in an entity: the name of a secret in a store, or the sealed value itself. */
export type Reference = `secret:${string}` | `fernet:${string}`;

/** The outcome of one source record. All of them are durable: its offset may be committed. */
export type RecordOutcome =
  'applied' | 'duplicate' | 'stale' | 'waiting' | 'refused' | 'blocked' | 'tombstone' | 'ignored';

/** One record from a transport. For a pipe the partition is 0 and the offset is the line number. */
export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  /** The record's own time, milliseconds since the epoch. */
  readonly timestampMs: number;
  /** Keyed digest of a pipe's line, which identifies it: every file has a line 0. */
  readonly digest?: string;
  /** Set if value and headers could not be read: then there are none. */
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

/** Why a record comes without its value, and how large it was. */
export interface Unread {
  readonly reason: (typeof UNREAD_REASONS)[number];
  /** The number of bytes, headers or records. For a batch the compressed bytes. */
  readonly size: number;
  /** Offset of the first record that this one stands for; the last one has this record's own offset. */
  readonly firstOffset: number;
  /** Keyed digest of the content (hex), if the position does not identify it: for a line of a pipe, or a value. */
  readonly digest?: string;
}

/** Where a source event came from. */
export interface SourcePosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Decides which of two states of a connection is newer: by time, then version, then offset within one partition, then
 * digest. `version` is null if the event has none (older than any number).
 */
export interface EventOrder {
  readonly timestampMs: number;
  readonly version: number | null;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Keyed digest of the content (hex): it recognises equal states without their values. */
  readonly digest: string;
}

/** When an unreadable record was published: only that tells whether another event is later. */
export interface Publication {
  /** The record's own time, milliseconds since the epoch. */
  readonly publishedAtMs: number;
  /** It is a line of a pipe, whose position says nothing: every file has a line 0. */
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
  /** When the database was created or declared as restored; milliseconds since the epoch. */
  readonly generation: number;
  /** Perhaps one that only a newer worker knows. */
  readonly manager: ManagerName;
  readonly store: StoreLocation;
  /** The entity of the source event with references instead of values; null if it is deleted. */
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

/** An installation of this program. Several may share a store. */
export interface Installation {
  readonly id: string;
  /**
   * Which of our secrets have the tag with this id:
   * - `all`: a known secret is written without a check of its tags
   * - `some`: version 0.1 wrote the others without the tag; they are ours too
   * - `own`: the database is a copy; secrets without the tag belong to the original
   */
  readonly tagged: 'all' | 'some' | 'own';
}
