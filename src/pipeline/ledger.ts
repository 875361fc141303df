import type {
  AuditRow,
  ConnectionRow,
  DeadLetterRow,
  InboxRow,
  OutboxRow,
  ReferenceRow,
  StoredSecretRow,
} from '../database/rows.js';
import type { ErrorCode } from '../errors.js';
import type { ManagerName, RecordOutcome } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import type { Claim } from './claim.js';
import type { Note } from './notes.js';

/** A dead letter without its payload. */
export type DeadLetterHead = Omit<DeadLetterRow, 'payload'>;

/** Everything the database knows about one connection, read while its row is locked. */
export interface LockedState {
  /** The database's clock. */
  readonly nowMs: number;
  /** The epoch that a claim taken now gets. */
  readonly nextEpoch: number;
  readonly connection: ConnectionRow;
  readonly references: readonly ReferenceRow[];
  /** Its secrets in stores, of every manager and state. */
  readonly stored: readonly StoredSecretRow[];
  /** Secrets of other connections that have one of the ids asked for. */
  readonly foreign: readonly StoredSecretRow[];
  /** Users' references of other connections to one of the ids asked for. */
  readonly referrers: readonly { readonly connectionId: string; readonly secretId: string }[];
  /** Other connections whose names could give the same ids as this one's. Empty unless `asksForNamesakes`. */
  readonly namesakes: readonly {
    readonly connectionId: string;
    readonly kind: string;
    readonly name: string;
  }[];
  /**
   * Ids of `stored` that a field of any connection refers to, with the managers of those connections: the reference is
   * resolved there. Empty unless `asksForReferences`.
   */
  readonly namedUnder: ReadonlyMap<string, readonly ManagerName[]>;
  /** The earlier outcome of this event. Null: it was never seen. */
  readonly inbox: InboxRow | null;
  /** The same for `reusedHash`. */
  readonly reusedInbox: InboxRow | null;
  /** Waiting events and dead letters of this connection: all, or those that the request's `keptEvents` asks for. */
  readonly deadLetters: readonly DeadLetterHead[];
  /** Whether records of this connection wait to be published: its newest revision, or rows of the outbox. */
  readonly hasUnsent: boolean;
}

/**
 * How rows of stored secrets change. A name belongs to one secret in a whole manager, but several connections may want it
 * at once. So a row is inserted as new, or taken over from the state `deleted`; both fail if another worker was faster.
 */
export interface StoredChanges {
  readonly insert?: readonly StoredSecretRow[];
  /** Rows of this connection in any state but `deleted`. */
  readonly update?: readonly StoredSecretRow[];
  /** Rows in the state `deleted`, of this connection or of `from`. */
  readonly revive?: readonly { readonly row: StoredSecretRow; readonly from: string }[];
}

/** Rows to be written in one transaction. Absent members change nothing. */
export interface Changes {
  /** The whole row; the ledger fills in its claim columns. */
  readonly connection?: ConnectionRow;
  /** The secured event of that row's revision. It is not stored: if it is not sent, it is made again from the row. */
  readonly secured?: OutgoingRecord;
  readonly references?: {
    readonly set: readonly ReferenceRow[];
    readonly removePathHashes: readonly string[];
    /** Whether the changes remove a user's reference. */
    readonly isWithdrawn?: boolean;
  };
  readonly stored?: StoredChanges;
  readonly inbox?: InboxRow;
  /** Outcomes of other events that these changes settle. */
  readonly settled?: readonly InboxRow[];
  readonly outbox?: readonly OutboxRow[];
  readonly deadLetters?: {
    readonly set: readonly DeadLetterRow[];
    readonly update?: readonly DeadLetterHead[];
    readonly removeEventHashes: readonly string[];
  };
  readonly audit?: readonly AuditRow[];
}

/** What becomes of an event, and why it is not applied. */
export interface Outcome {
  readonly name: RecordOutcome;
  readonly code: ErrorCode | null;
  /** What an operator should look at. */
  readonly notes?: readonly Note[];
}

/** What is to happen, decided under the row's lock. */
export type Decision<Plan> =
  /** Nothing to publish and nothing to write to a store: no claim. */
  | { readonly kind: 'settle'; readonly outcome: Outcome; readonly changes: Changes }
  /** Nothing to write to a store: the changes are committed at once, and published under the claim. */
  | { readonly kind: 'commit'; readonly outcome: Outcome; readonly changes: Changes }
  /** Values to write: these changes record the ids as `writing`; {@link Ledger.commit} writes the new state later. */
  | { readonly kind: 'write'; readonly plan: Plan; readonly changes: Changes }
  /** A name that it needs is not free yet: try again after this many milliseconds. */
  | { readonly kind: 'later'; readonly waitMs: number };

export interface ClaimRequest<Plan> {
  readonly connectionId: string;
  /** Null: the request is not for an event (relay, janitor). */
  readonly eventHash: string | null;
  /** Takes the place of `eventHash` if another event has the same event id. */
  readonly reusedHash?: string;
  /** Secret ids whose owners the decision must know. Called once the row is locked. */
  secretIds(connection: ConnectionRow, references: readonly ReferenceRow[]): readonly string[];
  /** Whether to look for fields, of any connection, that refer to one of this connection's stored secrets. */
  readonly asksForReferences?: boolean;
  /** The entity whose namesakes to look for (connections that could mean the same ids). Null: do not look. */
  asksForNamesakes?(
    connection: ConnectionRow,
  ): { readonly kind: string; readonly cleanedName: string } | null;
  /**
   * Which kept events of the connection the decision needs besides its own: none, or the oldest ones, page by page, until
   * the function returns true. Default: all.
   */
  readonly keptEvents?: 'none' | ((kept: readonly DeadLetterHead[], connection: ConnectionRow) => boolean);
  /** Pure; may be called more than once. */
  decide(state: LockedState): Decision<Plan>;
}

export type ClaimResult<Plan> =
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  | {
      readonly kind: 'committed';
      readonly outcome: Outcome;
      readonly claim: Claim;
      readonly unsent: readonly OutboxRow[];
      readonly hasWaiting: boolean;
    }
  | { readonly kind: 'writing'; readonly claim: Claim; readonly plan: Plan; readonly state: LockedState }
  | { readonly kind: 'busy'; readonly waitMs: number };

export interface CommitRequest {
  readonly claim: Claim;
  readonly changes: Changes;
}

export interface CommitResult {
  /** Unsent rows of the outbox, in publishing order. */
  readonly unsent: readonly OutboxRow[];
  readonly hasWaiting: boolean;
}

export interface SettleRequest {
  readonly claim: Claim;
  /** Rows of the outbox. */
  readonly sentIds: readonly string[];
  /** Whether the connection's newest revision is published now. */
  readonly isPublished: boolean;
}

/** Which connections to move to the active manager. */
export interface ElsewhereFilter {
  readonly active: ManagerName;
  /** Only connections of this manager. Null: of any. */
  readonly from: ManagerName | null;
  /** Only these. Null: all. */
  readonly connectionIds: readonly string[] | null;
  /** Only ids after this one. '': from the beginning. */
  readonly after: string;
}

export interface ElsewhereConnection {
  readonly id: string;
  readonly name: string | null;
  readonly manager: ManagerName;
}

export interface DoubtFilter {
  /** Only names whose doubt ends within this time, milliseconds. */
  readonly withinMs: number;
  /** How long after a claim's end one of its requests may still reach the store, milliseconds. */
  readonly lateRequestMs: number;
  readonly except: readonly ManagerName[];
}

/**
 * The database as the pipeline sees it. Each method that writes is one transaction, which locks the connections' rows in
 * the order of their ids. If it fails, it is rolled back as a whole.
 */
export interface Ledger {
  claim<Plan>(requests: readonly ClaimRequest<Plan>[]): Promise<ClaimResult<Plan>[]>;
  /** Null: the claim's epoch is no longer the newest. Another worker took the connection over; nothing was written. */
  commit(requests: readonly CommitRequest[]): Promise<(CommitResult | null)[]>;
  /** Marks rows as sent. Releases claims whose epoch is still the newest; marks their revisions as published if asked. */
  settle(requests: readonly SettleRequest[]): Promise<void>;
  /**
   * Decides and writes the changes for a record whose connection is unknown; returns them.
   *
   * @param decide gets the record's dead letter, or null if it has none. Pure; may be called more than once
   */
  keep(eventHash: string, decide: (known: DeadLetterHead | null) => Changes): Promise<Changes>;
  /** Writes rows that need no claim. */
  append(changes: readonly Changes[]): Promise<void>;
  markSent(ids: readonly string[]): Promise<void>;
  /** Connections with unsent records and a free claim, the longest waiting first; and unsent rows of no connection. */
  unsent(
    limit: number,
  ): Promise<{ readonly connectionIds: readonly string[]; readonly rows: readonly OutboxRow[] }>;
  /**
   * Without a filter: kept events whose next attempt is due. With `connectionId` or `allWaiting`: waiting events of one
   * connection, or of all, due or not (but one that no key opens only when due). The longest due come first.
   */
  due(
    filter: { readonly connectionId?: string; readonly allWaiting?: boolean },
    limit: number,
  ): Promise<readonly DeadLetterHead[]>;
  /** The sealed record of a kept event. Null: the event is no longer kept. */
  payloadOf(eventHash: string): Promise<string | null>;
  /** Connections with a free claim and stored secrets that the janitor must look after, by manager. */
  untidy(
    limit: number,
    except: readonly ManagerName[],
  ): Promise<readonly { readonly connectionId: string; readonly manager: ManagerName }[]>;
  /** Milliseconds until the first name in doubt can be checked. 0: now. Null: no name is in doubt. */
  doubtMs(filter: DoubtFilter): Promise<number | null>;
  /** Connections kept in another manager than the active one, in the order of their ids, after one of them. */
  elsewhere(filter: ElsewhereFilter, limit: number): Promise<readonly ElsewhereConnection[]>;
  /** The audit row of the last retirement of each of these secrets of one connection, by secret id. */
  retirements(connectionId: string, secretIds: readonly string[]): Promise<ReadonlyMap<string, AuditRow>>;
  /** Extends a claim. Null: its epoch is no longer the newest. */
  renew(claim: Claim): Promise<Claim | null>;
}
