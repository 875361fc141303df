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

/** Everything the database knows about one connection, its row locked. */
export interface LockedState {
  /** The database's clock. */
  readonly nowMs: number;
  /** The epoch a claim taken now would have. */
  readonly nextEpoch: number;
  readonly connection: ConnectionRow;
  readonly references: readonly ReferenceRow[];
  /** Its secrets in stores, of every manager and state. */
  readonly stored: readonly StoredSecretRow[];
  /** Secrets of other connections that have one of the ids asked for. */
  readonly foreign: readonly StoredSecretRow[];
  /** Users' references of other connections to one of the ids asked for. */
  readonly referrers: readonly { readonly connectionId: string; readonly secretId: string }[];
  /** Other connections whose names are written like this one's in ids. Empty unless `asksForNamesakes`. */
  readonly namesakes: readonly {
    readonly connectionId: string;
    readonly kind: string;
    readonly name: string;
  }[];
  /**
   * Which of the ids of `stored` some field names, of whatever connection, and under what managers: it is looked up in
   * their stores. Empty unless `asksForReferences`.
   */
  readonly namedUnder: ReadonlyMap<string, readonly ManagerName[]>;
  /** What became of this event before; null: never seen. */
  readonly inbox: InboxRow | null;
  /** The same of `reusedHash`. */
  readonly reusedInbox: InboxRow | null;
  /** Waiting and dead events of this connection: all, or what its request asks for by `keptEvents`. */
  readonly deadLetters: readonly DeadLetterHead[];
  /** Whether records of this connection wait to be published: its newest revision, or rows of the outbox. */
  readonly hasUnsent: boolean;
}

/**
 * How rows of stored secrets change. A name is one secret's in a whole manager, and several connections may want it at
 * once: a row is inserted as new, or taken over from the state `deleted`, and fails where somebody else was faster.
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
  /** The whole row; its claim columns are the ledger's. */
  readonly connection?: ConnectionRow;
  /** The secured event of that row's revision. It is not written: where it is not sent it is made again from the row. */
  readonly secured?: OutgoingRecord;
  readonly references?: {
    readonly set: readonly ReferenceRow[];
    readonly removePathHashes: readonly string[];
    /** Whether a user's reference is no longer there. */
    readonly isWithdrawn?: boolean;
  };
  readonly stored?: StoredChanges;
  readonly inbox?: InboxRow;
  /** What became of other records by it. */
  readonly settled?: readonly InboxRow[];
  readonly outbox?: readonly OutboxRow[];
  readonly deadLetters?: {
    readonly set: readonly DeadLetterRow[];
    readonly update?: readonly DeadLetterHead[];
    readonly removeEventHashes: readonly string[];
  };
  readonly audit?: readonly AuditRow[];
}

/** What becomes of an event, and why where it is not applied. */
export interface Outcome {
  readonly name: RecordOutcome;
  readonly code: ErrorCode | null;
  /** What somebody should look at. */
  readonly notes?: readonly Note[];
}

/** What is to happen, decided under the row's lock. */
export type Decision<Plan> =
  /** Nothing to publish and nothing to write to a store: no claim. */
  | { readonly kind: 'settle'; readonly outcome: Outcome; readonly changes: Changes }
  /** Nothing to write to a store: the new state is committed here, and published under the claim. */
  | { readonly kind: 'commit'; readonly outcome: Outcome; readonly changes: Changes }
  /** Values to write: the ids are recorded as `writing`, the state follows with {@link Ledger.commit}. */
  | { readonly kind: 'write'; readonly plan: Plan; readonly changes: Changes }
  /** Something of it is not free yet: try again after this many milliseconds. */
  | { readonly kind: 'later'; readonly waitMs: number };

export interface ClaimRequest<Plan> {
  readonly connectionId: string;
  /** Null where no event is behind it (relay, janitor). */
  readonly eventHash: string | null;
  /** What takes its place where its event id is another event's. */
  readonly reusedHash?: string;
  /** Secret ids whose owners the decision wants to know; asked once the row is locked. */
  secretIds(connection: ConnectionRow, references: readonly ReferenceRow[]): readonly string[];
  /** Whether to look for fields of any connection that name one of this one's stored secrets. */
  readonly asksForReferences?: boolean;
  /** Of what entity to look for others that could mean its ids; null: of none. */
  asksForNamesakes?(
    connection: ConnectionRow,
  ): { readonly kind: string; readonly cleanedName: string } | null;
  /**
   * Which kept events of the connection the decision needs besides the one of `eventHash`: none, or the oldest ones until
   * it says that these are enough. Default: all.
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

/** Which connections are to be moved. */
export interface ElsewhereFilter {
  readonly active: ManagerName;
  /** Only those kept there; null: wherever. */
  readonly from: ManagerName | null;
  /** Only these; null: all. */
  readonly connectionIds: readonly string[] | null;
  /** '': from the beginning. */
  readonly after: string;
}

export interface ElsewhereConnection {
  readonly id: string;
  readonly name: string | null;
  readonly manager: ManagerName;
}

export interface DoubtFilter {
  /** Only what can be in doubt no more after this time, milliseconds. */
  readonly withinMs: number;
  /** How long after a claim's end one of its requests could still land, milliseconds. */
  readonly lateRequestMs: number;
  readonly except: readonly ManagerName[];
}

/**
 * The database as the pipeline sees it. Every method takes many connections and is one transaction, rows locked in the
 * order of their ids. One that fails is rolled back whole.
 */
export interface Ledger {
  claim<Plan>(requests: readonly ClaimRequest<Plan>[]): Promise<ClaimResult<Plan>[]>;
  /** Null where the epoch has moved on: somebody else took the connection over, nothing was written. */
  commit(requests: readonly CommitRequest[]): Promise<(CommitResult | null)[]>;
  /** Marks rows as sent; releases the claims of epochs that still are the newest, and marks their revisions as published. */
  settle(requests: readonly SettleRequest[]): Promise<void>;
  /**
   * Writes what is to become of a record of which not even a connection is known; returns it.
   *
   * @param decide given its dead letter, null: there is none. Pure; may be called more than once
   */
  keep(eventHash: string, decide: (known: DeadLetterHead | null) => Changes): Promise<Changes>;
  /** Writes rows of no connection. */
  append(changes: readonly Changes[]): Promise<void>;
  markSent(ids: readonly string[]): Promise<void>;
  /** Connections with unsent records whose claim is free, the longest waiting first; `connectionId` null: of none. */
  unsent(
    limit: number,
  ): Promise<{ readonly connectionIds: readonly string[]; readonly rows: readonly OutboxRow[] }>;
  /**
   * Waiting and self-healing events whose next attempt is due; or all that wait, due or not: of one connection, or
   * (`allWaiting`) of every one. Those that have waited for their turn longest come first.
   */
  due(
    filter: { readonly connectionId?: string; readonly allWaiting?: boolean },
    limit: number,
  ): Promise<readonly DeadLetterHead[]>;
  /** The sealed record of a kept event; null: it is kept no more. */
  payloadOf(eventHash: string): Promise<string | null>;
  /** Connections with secrets that somebody has to look after, by manager, whose claim is free. */
  untidy(
    limit: number,
    except: readonly ManagerName[],
  ): Promise<readonly { readonly connectionId: string; readonly manager: ManagerName }[]>;
  /** Milliseconds until the first name in doubt can be looked at, 0: now; null: there is none. */
  doubtMs(filter: DoubtFilter): Promise<number | null>;
  /** Connections kept in another manager than the active one, in the order of their ids, after one of them. */
  elsewhere(filter: ElsewhereFilter, limit: number): Promise<readonly ElsewhereConnection[]>;
  /** What the audit says of the last retirement of each of these secrets of one connection, by secret id. */
  retirements(connectionId: string, secretIds: readonly string[]): Promise<ReadonlyMap<string, AuditRow>>;
  /** Extends a claim whose epoch still is the newest; null otherwise. */
  renew(claim: Claim): Promise<Claim | null>;
}
