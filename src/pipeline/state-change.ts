import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { byteSize } from '../events/record-size.js';
import type { SecretValue } from '../secret-value.js';
import type { Stored } from '../secrets-managers/port.js';
import type { SecuredEvent } from '../terms.js';
import type { OutgoingRecord } from '../transport.js';
import { adoptionProblem } from './adoption.js';
import type { EventAudit } from './audit.js';
import type { PlanContext } from './context.js';
import type { Changes, LockedState } from './ledger.js';
import { endedLosses } from './loss.js';
import { withCopies, type PlannedWrite } from './new-references.js';
import type { NewState } from './new-state.js';
import { outboxRow } from './outbox.js';
import { refuseForeign, securedRecord } from './secured-record.js';
import { StoredSecretPlan, type GivenUp } from './stored-secrets.js';

/** What there is once a plan's values are where they belong. */
export interface Written {
  /** What the store said of each write, by secret id. */
  readonly stored: ReadonlyMap<string, Stored>;
  /** The values that were copied, by path. */
  readonly copied: ReadonlyMap<string, SecretValue>;
}

export const NOTHING_WRITTEN: Written = { stored: new Map(), copied: new Map() };

/** A write, and under what terms the store is asked for it. */
export type NamedWrite = PlannedWrite & {
  readonly known: boolean;
  readonly formerOwner: string | null;
  /** Why a secret of this name that is not ours may not be taken over; null: it may, if `SECRET_ADOPT` says so. */
  readonly adoptionProblem: string | null;
};

export interface StateChangeParts {
  readonly state: LockedState;
  readonly next: NewState;
  readonly source: SecuredEvent['source'];
  readonly audit: EventAudit;
  readonly context: PlanContext;
}

/** A connection's new state, of an event or of a change of manager, with all the rows that go with it. */
export class StateChange {
  readonly #parts: StateChangeParts;
  readonly #secrets: StoredSecretPlan;
  readonly #record: OutgoingRecord | null;

  /** @throws EventError OUTPUT_TOO_LARGE where the secured event's topic would not take it; those of {@link securedRecord} */
  constructor(parts: StateChangeParts) {
    this.#parts = parts;
    const { context, state, next } = parts;
    const { rows, writes } = next.references;
    this.#secrets = new StoredSecretPlan(context, state, rows, writes);
    // With values still to be read, what is published is only known afterwards.
    const isComplete = writes.every(({ target }) => target === 'store');
    this.#record = isComplete ? this.#fittingRecord(next) : null;
    if (!isComplete) refuseForeign(next.connection, rows, state.foreign, context);
  }

  /** Milliseconds until a name that is needed may be touched again; 0: now. */
  get waitMs(): number {
    return this.#secrets.waitMs;
  }

  get writes(): NamedWrite[] {
    const { context, state, next } = this.#parts;
    const { kind, name } = next.connection;
    const entity = { kind: kind ?? '', name: name ?? '' };
    return this.#parts.next.references.writes.map((write) => ({
      ...write,
      known: this.#secrets.isKnown(write.secretId),
      formerOwner: this.#secrets.formerOwner(write.secretId),
      adoptionProblem: context.rules.adopt ? adoptionProblem(context, state, entity, write.secretId) : null,
    }));
  }

  /** Before the first request: the names about to be written. */
  marks(): Changes {
    return { stored: this.#secrets.marks() };
  }

  /** @throws EventError OUTPUT_TOO_LARGE, where values stay in the database and their tokens are only known now */
  finish({ stored, copied }: Written): Changes {
    const { state, context, audit } = this.#parts;
    const { references, ...rest } = this.#parts.next;
    const { connection, removed } = rest;
    const rows = withCopies(references, copied, context);
    const next: NewState = { ...rest, references: { ...references, rows } };
    const record = this.#record ?? this.#fittingRecord(next);
    const { nowMs, references: before } = state;
    const formerOwner = (secretId: string): string | null => this.#secrets.formerOwner(secretId);
    const place = { connectionId: connection.id, revision: connection.revision, nowMs };
    return {
      connection,
      references: {
        set: rows,
        removePathHashes: removed.map((row) => row.pathHash),
        isWithdrawn: isWithdrawn(before, rows, removed),
      },
      stored: this.#secrets.committed(stored),
      outbox: [outboxRow(record, place, context.rings.outbox)],
      deadLetters: { set: [], removeEventHashes: endedLosses(next.references, state) },
      audit: [
        ...audit.noted(next.notes),
        ...audit.written(references.writes, stored, formerOwner),
        ...audit.referred(next.references, before, state.stored, formerOwner),
        ...audit.kept(rows, before),
        ...audit.retired(this.#secrets.retired(), before),
      ],
    };
  }

  /**
   * What becomes of the names it was about to write when it is given up.
   *
   * @param changes what else there is to be committed then
   */
  givenUp(changes: Changes, given: GivenUp): Changes {
    const { state, next, audit } = this.#parts;
    const stored = this.#secrets.abandoned(given);
    const isNew = ({ manager, secretId }: StoredSecretRow): boolean =>
      !state.stored.some(
        (row) => row.manager === manager && row.secretId === secretId && row.state === 'retired',
      );
    const retired = (stored.update ?? []).filter((row) => row.state === 'retired' && isNew(row));
    return {
      ...changes,
      stored,
      audit: [...(changes.audit ?? []), ...audit.retired(retired, next.references.writes)],
    };
  }

  #fittingRecord({ connection, references }: NewState): OutgoingRecord {
    const { source, state, context } = this.#parts;
    const record = securedRecord(connection, references.rows, source, state, context);
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

function isWithdrawn(
  before: readonly ReferenceRow[],
  rows: readonly ReferenceRow[],
  removed: readonly ReferenceRow[],
): boolean {
  const after = new Map(rows.map((row) => [row.pathHash, row.referenceHash]));
  const gone = new Set(removed.map(({ pathHash }) => pathHash));
  return before.some(
    ({ owned, pathHash, referenceHash }) =>
      !owned && (gone.has(pathHash) || (after.get(pathHash) ?? referenceHash) !== referenceHash),
  );
}
