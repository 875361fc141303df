import type { StoredSecretRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { byteSize } from '../events/record-size.js';
import type { SecretValue } from '../secret-value.js';
import type { Stored } from '../secrets-managers/port.js';
import type { SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import type { SecretAudit } from './audit.js';
import type { PlanContext } from './context.js';
import { storedKey, type Changes, type LockedState, type StoredChanges } from './ledger.js';
import type { NewReferences, PlannedSealing, PlannedWrite } from './new-references.js';
import type { NewState } from './new-state.js';
import { outboxRow } from './outbox.js';
import { securedRecord } from './secured-record.js';
import { StoredSecretPlan } from './stored-secrets.js';

/** What the stores said and gave before the new state may be committed. */
export interface Written {
  /** Of each write, by secret id. */
  readonly stored: ReadonlyMap<string, Stored>;
  /** Of each sealing, by path. */
  readonly values: ReadonlyMap<string, SecretValue>;
}

const NOTHING_WRITTEN: Written = { stored: new Map(), values: new Map() };

export interface ReadyWrite extends PlannedWrite {
  /** Whether our records say that the store has this name. */
  readonly known: boolean;
  /** The connection that had this name before and lost it. */
  readonly formerOwner: string | null;
}

export interface StatePlanParts {
  readonly state: LockedState;
  readonly context: PlanContext;
  readonly next: NewState;
  /** The event that the secured event names. */
  readonly source: SecuredEvent['source'];
  readonly audit: SecretAudit;
}

/** The way of a connection into a new state: what is to be written and read before, and the rows of its commit. */
export class StatePlan {
  readonly #parts: StatePlanParts;
  readonly #secrets: StoredSecretPlan;
  /** Null: it takes values that are not read yet. */
  readonly #record: OutgoingRecord | null;

  /** @throws EventError OUTPUT_TOO_LARGE */
  constructor(parts: StatePlanParts) {
    this.#parts = parts;
    const { rows, writes, sealings } = parts.next.references;
    this.#secrets = new StoredSecretPlan(parts.context, parts.state, rows, writes);
    this.#record =
      sealings.length === 0 && this.waitMs === 0 ? this.#requireFit(parts.next.references) : null;
  }

  /** Milliseconds until a name that is needed may be touched again; 0: now. */
  get waitMs(): number {
    return this.#secrets.waitMs;
  }

  /** Whether nothing has to be written or read first. */
  get isReady(): boolean {
    return this.writes.length === 0 && this.sealings.length === 0;
  }

  get writes(): readonly ReadyWrite[] {
    return this.#parts.next.references.writes.map((write) => ({
      ...write,
      known: this.#secrets.isKnown(write.secretId),
      formerOwner: this.#secrets.formerOwner(write.secretId),
    }));
  }

  get sealings(): readonly PlannedSealing[] {
    return this.#parts.next.references.sealings;
  }

  /** Before the first request: every name about to be written is recorded. */
  marks(): StoredChanges {
    return this.#secrets.marks();
  }

  /** The rows of the new state. Throws EventError OUTPUT_TOO_LARGE where only the values could show it. */
  changes(written: Written = NOTHING_WRITTEN): Changes {
    const { state, context, next, audit } = this.#parts;
    const { connection, removed } = next;
    const references = withSealed(next.references, written.values);
    const record = this.#record ?? this.#requireFit(references);
    const formerOwner = (secretId: string): string | null => this.#secrets.formerOwner(secretId);
    const place = { connectionId: connection.id, revision: connection.revision, nowMs: state.nowMs };
    return {
      connection,
      references: { set: references.rows, removePathHashes: removed.map((row) => row.pathHash) },
      stored: this.#secrets.committed(written.stored),
      outbox: [outboxRow(record, place, context.rings.database)],
      audit: [
        ...audit.written(references.writes, written.stored, formerOwner),
        ...audit.referred(references, state.references, state.stored, formerOwner),
        ...audit.kept(references.rows, state.references),
        ...audit.retired(this.#secrets.retired(), state.references),
      ],
    };
  }

  /** What becomes of the names it was about to write, when the old state stays. */
  givenUp(elapsedMs: number): Pick<Changes, 'stored' | 'audit'> {
    const { state, next, audit } = this.#parts;
    const stored = this.#secrets.abandoned(elapsedMs);
    const isNew = (one: StoredSecretRow): boolean =>
      !state.stored.some((row) => storedKey(row) === storedKey(one) && row.state === 'retired');
    const retired = (stored.update ?? []).filter((row) => row.state === 'retired' && isNew(row));
    return { stored, audit: audit.retired(retired, next.references.writes) };
  }

  /** The secured event; throws OUTPUT_TOO_LARGE where its topic would not take it. */
  #requireFit({ rows }: NewReferences): OutgoingRecord {
    const { state, context, next, source } = this.#parts;
    const record = securedRecord(next.connection, rows, source, state.nowMs, context);
    const bytes = byteSize(record);
    const maxBytes = context.output.maxRecordBytes('secured');
    if (bytes > maxBytes)
      throw new EventError(
        'OUTPUT_TOO_LARGE',
        `the secured event has ${bytes} bytes, its topic takes ${maxBytes}`,
      );
    return record;
  }
}

function withSealed(references: NewReferences, values: ReadonlyMap<string, SecretValue>): NewReferences {
  const sealed = references.sealings.map(({ path, rowOf }) => {
    const value = values.get(path);
    if (value === undefined) throw new TypeError(`no value was read for ${path}`);
    return rowOf(value);
  });
  return { ...references, rows: [...references.rows, ...sealed] };
}
