import type { ErrorCode } from '../errors.js';
import type { NamedFields } from '../pipeline/notes.js';
import type {
  EventOrder,
  ManagerName,
  Operation,
  Publication,
  RecordOutcome,
  SecuredEvent,
} from '../terms.js';

/** One row per connection: its newest state, and its claim. */
export interface ConnectionRow {
  id: string;
  entityType: string | null;
  root: string | null;
  kind: string | null;
  serviceType: string | null;
  name: string | null;
  fullyQualifiedName: string | null;
  version: number | null;
  /** `new`: claimed, nothing applied yet. `deleted`: the tombstone that keeps late events from resurrecting it. */
  state: 'new' | 'live' | 'softDeleted' | 'deleted';
  /** The manager that keeps its values. Null: no event was applied yet. */
  manager: ManagerName | null;
  revision: number;
  operation: Operation | null;
  /** The entity as JSON, every secret field masked; the references are in `secret_reference`. */
  entity: string | null;
  /** Order of the newest event applied. */
  appliedOrder: EventOrder | null;
  /** The event of this revision. */
  eventId: string | null;
  /** What the secured event of this revision has besides the state. Null: an earlier version made it. */
  securedFrom: SecuredFrom | null;
  /** Since when this revision waits to be published, by the database's clock; null: it is published. */
  unpublishedSinceMs: number | null;
  claimOwner: string | null;
  /** Grows with every claim; a commit of an older epoch is refused. */
  claimEpoch: number;
  /** By the database's clock, milliseconds since the epoch; 0: not claimed. */
  claimExpiresAtMs: number;
  createdAtMs: number;
  updatedAtMs: number;
}

/** The record that a secured event comes from, and the store that resolves its references. */
export interface SecuredFrom extends Pick<SecuredEvent, 'source' | 'store'> {
  /** Id of the key that sealed its tokens. */
  readonly keyId: string;
}

/** One row per secret field of a connection that has a value. */
export interface ReferenceRow {
  connectionId: string;
  /** SHA-256 of `path`: MySQL's index limit is 3,072 bytes. */
  pathHash: string;
  /** The field's identity: JSON Pointer into the entity, elements of arrays by name where they have one. */
  path: string;
  /** JSON Pointer into the entity as stored. */
  pointer: string;
  /** What `sealed` holds: the name of a secret in a store, or the value itself. */
  holds: 'reference' | 'value';
  /** `fernet:` + token. */
  sealed: string;
  owned: boolean;
  /** Keyed fingerprint of connection, path and value; null where the value is unknown to us. */
  fingerprint: string | null;
  /** SHA-256 of the secret id that `sealed` names, owned or not; null where it holds a value. */
  referenceHash: string | null;
  /** Id of the stored secret this field owns; null for external references and values that stay here. */
  secretId: string | null;
  /**
   * Keyed digest of the row: who cannot compute it cannot change the row unnoticed. Null: put there by somebody else, or
   * the row was refused one when the rows of an earlier version got theirs.
   */
  digest: string | null;
  /** Order of the event that set the field: an older event may still set what newer ones only masked. */
  setOrder: EventOrder;
}

/** One row per secret of ours in a store: from before its first write until the store can no longer restore it. */
export interface StoredSecretRow {
  manager: ManagerName;
  secretIdHash: string;
  secretId: string;
  connectionId: string;
  /**
   * `writing`: recorded before the request is sent. `live`: a field refers to it. `retired`: no field does; it is deleted
   * after the grace period. `deleting`: the request may still be on its way. `deleted`: the name may be taken over.
   */
  state: 'writing' | 'live' | 'retired' | 'deleting' | 'deleted';
  /** Epoch of the claim that put the row into this state. */
  epoch: number;
  /** The store's version of the committed value. Null: no value was committed. */
  version: string | null;
  /** Not null: the name is in doubt, a request may reach the store until then. Then the janitor checks the version. */
  suspectUntilMs: number | null;
  /** `retired`: when it may be deleted. `deleting`: when the request can no longer reach the store. */
  dueAtMs: number | null;
  updatedAtMs: number;
}

/** One row per event: its outcome. */
export interface InboxRow {
  eventHash: string;
  connectionId: string | null;
  eventId: string;
  outcome: RecordOutcome;
  code: ErrorCode | null;
  topic: string;
  partition: number;
  /** Offset in the partition; the line number of a pipe. */
  position: number;
  atMs: number;
  /** Keyed digest of the event's content as it came; null: not known, as of what could not be read. */
  digest: string | null;
  /** The same with the publisher's tokens opened; null: there were none. */
  openedDigest: string | null;
}

/**
 * One row per record to be published that cannot be made again: notices of dead letters, and secured events that a newer
 * revision has overtaken before they were sent. Its payload is sealed.
 */
export interface OutboxRow {
  id: string;
  connectionId: string | null;
  stream: 'secured' | 'dead-letter';
  /** Publishing order within a connection: its revision; 0 for dead letters. */
  revision: number;
  /** `fernet:` + token of the outgoing record. */
  payload: string;
  createdAtMs: number;
  sentAtMs: number | null;
}

/** One row per kept event: a waiting event or a dead letter. */
export interface DeadLetterRow {
  eventHash: string;
  connectionId: string | null;
  state: 'waiting' | 'dead';
  code: ErrorCode;
  /** Names, limits and ids; never values. */
  detail: string;
  eventId: string | null;
  topic: string;
  partition: number;
  position: number;
  /** Order of the event; of a record that could not be decoded when it was published. Null: not known. */
  eventOrder: EventOrder | Publication | null;
  /** Paths of the fields it was to set: a later event that masks one of them is kept behind it. Null: not known. */
  sets: string[] | null;
  /** `fernet:` + token of the whole source record, under the dead-letter key; empty where no record is behind it. */
  payload: string;
  attempts: number;
  /** Of a waiting event: when it becomes a dead letter. */
  waitUntilMs: number | null;
  /** When the worker retries it. Null: only an operator does. */
  nextAttemptAtMs: number | null;
  createdAtMs: number;
  updatedAtMs: number;
}

/** Append-only: who did what to which secret, by which event. No values. */
export interface AuditRow {
  id: string;
  atMs: number;
  action: string;
  actor: string | null;
  connectionId: string | null;
  path: string | null;
  secretId: string | null;
  eventId: string | null;
  detail: string | null;
  /** Which fields of the entity it was about, where it was about several; null: see `path`. */
  fields: NamedFields | null;
}

/** A migration, replay or rotation: resumable. */
export interface OperationRow {
  id: string;
  kind: string;
  state: string;
  parameters: string;
  progress: string;
  createdAtMs: number;
  updatedAtMs: number;
}

export interface SettingRow {
  name: string;
  value: string;
}

/** In the value of a setting: what one process holds of the writes to a store. Rates are writes per second. */
export interface WriteShareEntry {
  readonly process: string;
  readonly limit: number;
  readonly wanted: number;
  readonly granted: number;
  /** By the database's clock. */
  readonly expiresAtMs: number;
}
