import type { EventType, JsonObject } from '../../../src/terms.js';

/** The five statements that must hold after every scenario (docs/guarantees.md). */
export const INVARIANTS = {
  1: 'store, database and topic say the newest accepted version',
  2: 'every source event is applied, stale, duplicate or a dead letter, or told as missed',
  3: 'revisions are gapless, the last record of a connection is its newest',
  4: 'no value is outside the store',
  5: 'no owned secret in the store is unknown to the database',
} as const;
export type Invariant = keyof typeof INVARIANTS;

/** A record that was deleted in its topic, perhaps before anybody had read it. */
export interface DeletedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Its time was over, or the topic was deleted and created again. */
  readonly reason: 'expired' | 'recreated';
}

export interface Violation {
  readonly invariant: Invariant;
  /** What is wrong, in one word that does not change: for tests. */
  readonly kind: string;
  /** Null where it concerns no single connection. */
  readonly connection: string | null;
  /** In a sentence; names and ids, never a value. */
  readonly what: string;
}

/** What a source event says of one secret field: a text, `secret:…`, nine asterisks, or null and '' for none. */
export type FieldText = string | null;

/** A source event as it was published. */
export interface PublishedEvent {
  readonly eventId: string;
  /** Null for a record that is no event and belongs to nobody. */
  readonly connectionId: string | null;
  readonly eventType: EventType;
  readonly timestampMs: number;
  readonly version: number | null;
  /** What decides between events of one time and version. */
  readonly place?: { readonly topic: string; readonly partition: number; readonly offset: number };
  /** By JSON Pointer into the entity; a field that is not named has no value. Sealed fields: what is inside. */
  readonly fields: Readonly<Record<string, FieldText>>;
  /** The full state; where it is given, row and secured event must carry the same but for secret fields. */
  readonly entity?: JsonObject | null;
  /** `refused`: it must become a dead letter; `any`: it may. Default: it must not. */
  readonly expect?: 'accepted' | 'refused' | 'any';
  /** Where its record was deleted, perhaps unread: nothing has to become of it, but then the worker must have told so. */
  readonly deleted?: readonly DeletedRecord[];
}

/** Where a secrets manager's values are read from, with plain clients. */
export type StoreSource =
  /** The AWS stand-in of the harness, over HTTP. */
  | { readonly kind: 'standin'; readonly url: string }
  /** Any AWS endpoint. Only secrets whose id begins with `prefix` are looked at: moto is shared. */
  | {
      readonly kind: 'aws';
      readonly service: 'secretsmanager' | 'ssm';
      readonly endpoint: string;
      readonly prefix?: string;
    }
  /** The vault file of the manager `local`; opened with the keys. */
  | { readonly kind: 'local'; readonly file: string }
  /** Values that stay with us: `db` and the managers that are not managed. */
  | { readonly kind: 'tokens' };

/** Where secured events and dead letters are read from. */
export type RecordSource =
  | { readonly kind: 'kafka'; readonly brokers: string; readonly topic: string }
  /** What `pipe --out` wrote. */
  | { readonly kind: 'file'; readonly file: string };

export interface CheckInput {
  readonly published: readonly PublishedEvent[];
  /** As in DATABASE_URL. */
  readonly databaseUrl: string;
  /** By the name of the manager, as a connection's row has it. */
  readonly stores: Readonly<Record<string, StoreSource>>;
  readonly secured: RecordSource;
  /** None for a pipe: its dead letters are in the table only. */
  readonly deadLetters?: RecordSource;
  /** The group's offsets must be at the end of these topics. */
  readonly sources?: {
    readonly brokers: string;
    readonly groupId: string;
    readonly topics: readonly string[];
  };
  /** Fernet keys (base64) that tokens in secured events and in a vault may be sealed with. */
  readonly keys?: readonly string[];
  /** Texts that must hold no value: what the processes printed. */
  readonly logs?: Readonly<Record<string, string>>;
  /** Files that must hold no value: logs, and what else lies about. The database's own and a vault are looked at anyway. */
  readonly files?: readonly string[];
}
