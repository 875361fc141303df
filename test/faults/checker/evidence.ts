import type { SecuredEvent } from '../../../src/terms.js';

export interface ConnectionEvidence {
  readonly id: string;
  readonly state: string;
  readonly version: number | null;
  readonly revision: number;
  /** Whether that revision is marked as published. */
  readonly isPublished: boolean;
  readonly manager: string | null;
  readonly entity: unknown;
  /** Of the newest event applied; null while nothing is. */
  readonly orderTimestampMs: number | null;
  readonly orderVersion: number | null;
}

export interface ReferenceEvidence {
  readonly connectionId: string;
  readonly pointer: string;
  readonly owned: boolean;
  /** The stored secret it owns. */
  readonly secretId: string | null;
}

export interface StoredEvidence {
  readonly manager: string;
  readonly secretId: string;
  readonly connectionId: string;
  readonly state: string;
  readonly version: string | null;
  readonly isSuspect: boolean;
}

export interface InboxEvidence {
  readonly eventHash: string;
  readonly connectionId: string | null;
  readonly eventId: string;
  readonly outcome: string;
}

export interface OutboxEvidence {
  readonly connectionId: string | null;
  readonly stream: string;
  readonly revision: number;
  readonly isSent: boolean;
}

export interface DeadLetterEvidence {
  readonly eventHash: string;
  readonly connectionId: string | null;
  readonly eventId: string | null;
  readonly state: string;
  readonly code: string;
}

/** Records of a source topic that the worker has told to be missed, `to` not included. */
export interface MissedEvidence {
  readonly topic: string;
  readonly partition: number;
  readonly reason: string;
  readonly from: number;
  readonly to: number;
}

export interface DatabaseEvidence {
  readonly connections: readonly ConnectionEvidence[];
  readonly references: readonly ReferenceEvidence[];
  readonly stored: readonly StoredEvidence[];
  readonly inbox: readonly InboxEvidence[];
  readonly outbox: readonly OutboxEvidence[];
  readonly deadLetters: readonly DeadLetterEvidence[];
  readonly missed: readonly MissedEvidence[];
}

/** One record of the secured topic, or a line of a pipe; in the order in which it lies in its partition. */
export interface SecuredEvidence {
  readonly key: string | null;
  readonly partition: number;
  /** Offset, or number of the line. */
  readonly position: number;
  /** Null where it is not what docs/schemas promises: `problem` says why. */
  readonly cloudEventId: string | null;
  readonly connectionId: string | null;
  readonly revision: number;
  readonly generation: number;
  readonly operation: string;
  readonly eventId: string;
  /** Of its bytes: a record may be there twice, but then it says the same. */
  readonly digest: string;
  readonly problem: string | null;
}

export interface SecuredLog {
  readonly records: readonly SecuredEvidence[];
  /** The content of each connection's last record. */
  readonly lastData: ReadonlyMap<string, SecuredEvent>;
}

/** A record of the topic of dead letters. */
export interface DeadLetterRecord {
  readonly eventId: string | null;
  readonly connectionId: string | null;
  readonly source: string;
}

export interface StoreSecret {
  readonly secretId: string;
  readonly value: string | null;
  readonly version: string;
  /** The connection that our tag names; null: not ours. */
  readonly owner: string | null;
  readonly isGone: boolean;
}

/** Where a value was found that has no business there. */
export interface Leak {
  readonly where: string;
  readonly connection: string | null;
}

export interface OffsetEvidence {
  readonly topic: string;
  readonly partition: number;
  readonly end: number;
  readonly committed: number;
}

/** Everything as it was read; {@link judge} needs nothing else. */
export interface Evidence {
  readonly database: DatabaseEvidence;
  readonly secured: SecuredLog;
  /** Null where there is no such topic. */
  readonly deadLetters: readonly DeadLetterRecord[] | null;
  /** By the manager's name; null: values are tokens that stay with us. */
  readonly stores: ReadonlyMap<string, ReadonlyMap<string, StoreSecret> | null>;
  /** Opens a token of a secured event; null where no key does. */
  readonly openToken: (token: string) => string | null;
  readonly leaks: readonly Leak[];
  readonly offsets: readonly OffsetEvidence[];
}
