import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import type { SecretValue } from '../secret-value.js';
import type { Stored } from '../secrets-managers/port.js';
import { byteSize, type OutgoingRecord } from '../transport.js';
import type { EventAudit } from './audit.js';
import { endedLosses } from './blocking.js';
import type { PlanContext } from './context.js';
import type { LockedState, StoredChanges, Changes } from './ledger.js';
import { type PlannedWrite, withCopies, type NewState } from './new-state.js';
import { refuseForeign, securedRecord } from './outbox.js';

/** What is known of writes that are given up. */
export interface GivenUp {
  /** How long the writes took, milliseconds. Doubt about requests without an answer counts from their end. */
  readonly elapsedMs: number;
  /** The store's answer for each name. A name that is missing was never sent to the store. */
  readonly answers: ReadonlyMap<string, WriteAnswer>;
}

export type WriteAnswer = 'applied' | 'refused' | 'unknown';

/** How the rows of a connection's stored secrets change with a new state. */
class StoredSecretPlan {
  readonly #context: PlanContext;
  readonly #state: LockedState;
  readonly #writes: readonly PlannedWrite[];
  readonly #used: ReadonlySet<string>;
  readonly #ownById: ReadonlyMap<string, StoredSecretRow>;

  /** @param rows the references after the event; none for a deletion */
  constructor(
    context: PlanContext,
    state: LockedState,
    rows: readonly ReferenceRow[],
    writes: readonly PlannedWrite[],
  ) {
    this.#context = context;
    this.#state = state;
    this.#writes = writes.filter(({ target }) => target === 'store');
    this.#used = new Set(rows.flatMap(({ secretId }) => (secretId === null ? [] : [secretId])));
    this.#ownById = new Map(this.#ofManager(state.stored).map((row) => [row.secretId, row]));
  }

  /**
   * Milliseconds until every needed name may be written again (the deletion of one may still be on its way). 0: now.
   */
  get waitMs(): number {
    const deleting = [...this.#used].flatMap((secretId) => {
      const row = this.#ownById.get(secretId);
      return row?.state === 'deleting' ? [(row.dueAtMs ?? 0) - this.#state.nowMs] : [];
    });
    return deleting.length === 0 ? 0 : Math.max(1, ...deleting);
  }

  /** Whether our rows say that we wrote this name to the store and it is still there. */
  isKnown(secretId: string): boolean {
    return this.recordedVersion(secretId) !== null;
  }

  /** The version that was committed last. Null: our rows have none. */
  recordedVersion(secretId: string): string | null {
    const row = this.#ownById.get(secretId);
    return row === undefined || row.state === 'deleted' ? null : row.version;
  }

  /** The connection that had this name before, and whose secret was deleted. Null: none. */
  formerOwner(secretId: string): string | null {
    return this.#ownById.has(secretId) ? null : (this.#formerRow(secretId)?.connectionId ?? null);
  }

  /** Before the first request: records every name that is about to be written. */
  marks(): StoredChanges {
    const insert: StoredSecretRow[] = [];
    const update: StoredSecretRow[] = [];
    const revive: { row: StoredSecretRow; from: string }[] = [];
    for (const { secretId } of this.#writes) {
      const own = this.#ownById.get(secretId);
      const former =
        own?.state === 'deleted' ? own : own === undefined ? this.#formerRow(secretId) : undefined;
      const row = this.#row(secretId, 'writing', former === undefined ? (own?.version ?? null) : null);
      if (former !== undefined) revive.push({ row, from: former.connectionId });
      else if (own !== undefined) update.push({ ...row, suspectUntilMs: own.suspectUntilMs });
      else insert.push(row);
    }
    return { insert, update, revive };
  }

  /**
   * With the new state: names that were written or are used become live, all others are retired. A name that an earlier
   * claim left as `writing` is in doubt, because one of its requests may still reach the store.
   */
  committed(stored: ReadonlyMap<string, Stored>): StoredChanges {
    const update: StoredSecretRow[] = [];
    const insert: StoredSecretRow[] = [];
    const revive: { row: StoredSecretRow; from: string }[] = [];
    for (const [secretId, { version }] of stored)
      update.push({ ...this.#row(secretId, 'live', version), suspectUntilMs: this.#suspicion(secretId) });
    for (const secretId of this.#used) {
      if (stored.has(secretId)) continue;
      const own = this.#ownById.get(secretId);
      const live = {
        ...this.#row(secretId, 'live', own?.version ?? null),
        suspectUntilMs: this.#suspicion(secretId),
      };
      if (own === undefined) {
        const former = this.#formerRow(secretId);
        if (former === undefined) insert.push(live);
        else revive.push({ row: live, from: former.connectionId });
      } else if (own.state === 'deleted') revive.push({ row: live, from: own.connectionId });
      else if (own.state !== 'live') update.push(live);
    }
    update.push(...this.retired());
    return { insert, update, revive };
  }

  /**
   * The writes were given up and the old state stays. Live names go on under their recorded version; new names are retired,
   * whether the store has them or not. A name is in doubt if a request for it has no answer. If a write was applied to a
   * live name, the janitor can put the recorded version back at once.
   */
  abandoned({ elapsedMs, answers }: GivenUp): StoredChanges {
    const nowMs = this.#state.nowMs + Math.ceil(elapsedMs);
    const { graceMs, lateRequestMs } = this.#context.rules;
    const { connection, references } = this.#state;
    // While another manager keeps the connection, none of its fields uses a name of the active one.
    const isOurs = connection.manager === this.#context.manager.name;
    const inUse = new Set(isOurs ? references.map(({ secretId }) => secretId) : []);
    const update = this.#writes.map(({ secretId }): StoredSecretRow => {
      const version = this.#ownById.get(secretId)?.version ?? null;
      const isLive = inUse.has(secretId);
      const answer = answers.get(secretId);
      const before = this.#suspicion(secretId);
      const isOther = answer === 'applied' && isLive;
      return {
        ...this.#row(secretId, isLive ? 'live' : 'retired', version),
        suspectUntilMs:
          answer === 'unknown' ? nowMs + lateRequestMs : (before ?? (isOther ? this.#state.nowMs : null)),
        dueAtMs: isLive ? null : nowMs + graceMs,
      };
    });
    return { update };
  }

  /**
   * Retires the names that the new state no longer uses; they are deleted after the grace period. These are names of the
   * active manager that no field has any more, and all names of other managers, because the connection has moved as a whole.
   */
  retired(): StoredSecretRow[] {
    return this.#state.stored
      .filter(({ state }) => state === 'live' || state === 'writing')
      .filter(({ manager, secretId }) => manager !== this.#context.manager.name || !this.#used.has(secretId))
      .map((row) => ({
        ...row,
        state: 'retired',
        epoch: this.#state.nextEpoch,
        dueAtMs: this.#state.nowMs + this.#context.rules.graceMs,
        suspectUntilMs: this.#suspicionOf(row),
        updatedAtMs: this.#state.nowMs,
      }));
  }

  #suspicion(secretId: string): number | null {
    const own = this.#ownById.get(secretId);
    return own === undefined ? null : this.#suspicionOf(own);
  }

  #suspicionOf({ state, suspectUntilMs }: StoredSecretRow): number | null {
    return state === 'writing' ? this.#state.nowMs + this.#context.rules.lateRequestMs : suspectUntilMs;
  }

  #row(secretId: string, state: StoredSecretRow['state'], version: string | null): StoredSecretRow {
    return {
      manager: this.#context.manager.name,
      secretIdHash: sha256Hex(secretId),
      secretId,
      connectionId: this.#state.connection.id,
      state,
      epoch: this.#state.nextEpoch,
      version,
      suspectUntilMs: null,
      dueAtMs: null,
      updatedAtMs: this.#state.nowMs,
    };
  }

  #formerRow(secretId: string): StoredSecretRow | undefined {
    return this.#ofManager(this.#state.foreign).find(
      (row) => row.secretId === secretId && row.state === 'deleted',
    );
  }

  #ofManager(rows: readonly StoredSecretRow[]): StoredSecretRow[] {
    return rows.filter((row) => row.manager === this.#context.manager.name);
  }
}

/** The parts of an entity that its secret ids are made of. */
interface NamedEntity {
  readonly kind: string;
  readonly name: string;
}

/** One decision of the command `adopt`: this connection gets this secret. */
export function adoptionGrant(connectionId: string, secretId: string): string {
  return `${connectionId} ${secretId}`;
}

/**
 * Why an event of this entity may not adopt a secret by its name. Null: it may. With `SECRET_ADOPT=true` the name alone
 * decides. In a run of `adopt` only its grants count, because it has looked at all connections that could mean the secret.
 */
export function adoptionProblem(
  { ids, rules }: Pick<PlanContext, 'ids' | 'rules'>,
  { namesakes, connection }: Pick<LockedState, 'namesakes' | 'connection'>,
  { kind, name }: NamedEntity,
  secretId: string,
): string | null {
  if (rules.grants !== null) {
    const isGranted = rules.grants.has(adoptionGrant(connection.id, secretId));
    return isGranted ? null : 'this run of `adopt` gives it to nobody, or to another connection';
  }
  const reason = ids.sharedNameReason(kind, name);
  if (reason !== null) return reason;
  const own = idsBegin(ids, { kind, name });
  const other = namesakes.find((one) => {
    const others = idsBegin(ids, one);
    // A name that contains a separator may begin like the ids of a shorter name: equality alone is not enough.
    return others !== null && own !== null && (others.startsWith(own) || own.startsWith(others));
  });
  return other === undefined ? null : `connection ${other.connectionId} could mean the same ids`;
}

/** The common beginning of all ids of an entity. Null: no id can be made of its name. */
function idsBegin(ids: PlanContext['ids'], { kind, name }: NamedEntity): string | null {
  try {
    return ids.build(kind, name, ['x']).slice(0, -1);
  } catch (error) {
    if (error instanceof EventError) return null;
    throw error;
  }
}

/** The result of writing a plan's values. */
export interface Written {
  /** The store's answer to each write, by secret id. */
  readonly stored: ReadonlyMap<string, Stored>;
  /** The values that were copied, by path. */
  readonly copied: ReadonlyMap<string, SecretValue>;
}

export const NOTHING_WRITTEN: Written = { stored: new Map(), copied: new Map() };

/** A write, and the conditions that the request to the store carries. */
export type NamedWrite = PlannedWrite & {
  readonly known: boolean;
  /** The version that was committed last. Null: it is not known. */
  readonly recordedVersion: string | null;
  readonly formerOwner: string | null;
  /** Why a secret of this name that is not ours may not be adopted. Null: it may, if `SECRET_ADOPT` allows it. */
  readonly adoptionProblem: string | null;
};

interface StateChangeParts {
  readonly state: LockedState;
  readonly next: NewState;
  readonly audit: EventAudit;
  readonly context: PlanContext;
}

/** A connection's new state, after an event or a move to another manager, and all rows that change with it. */
export class StateChange {
  readonly #parts: StateChangeParts;
  readonly #secrets: StoredSecretPlan;
  readonly #record: OutgoingRecord | null;

  /** @throws EventError OUTPUT_TOO_LARGE if the secured event is too large for its topic; those of {@link securedRecord} */
  constructor(parts: StateChangeParts) {
    this.#parts = parts;
    const { context, state, next } = parts;
    const { rows, writes } = next.references;
    this.#secrets = new StoredSecretPlan(context, state, rows, writes);
    // If values still have to be read, the secured event can only be made in `finish`.
    const isComplete = writes.every(({ target }) => target === 'store');
    this.#record = isComplete ? this.#fittingRecord(next) : null;
    if (!isComplete) refuseForeign(next.connection, rows, state.foreign, context);
  }

  /** Milliseconds until every needed name may be written again. 0: now. */
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
      recordedVersion: this.#secrets.recordedVersion(write.secretId),
      formerOwner: this.#secrets.formerOwner(write.secretId),
      adoptionProblem: context.rules.adopt ? adoptionProblem(context, state, entity, write.secretId) : null,
    }));
  }

  /** Before the first request: records the names that are about to be written. */
  marks(): Changes {
    return { stored: this.#secrets.marks() };
  }

  /** @throws EventError OUTPUT_TOO_LARGE: the tokens of values stored in the database are known only now */
  finish({ stored, copied }: Written): Changes {
    const { state, context, audit } = this.#parts;
    const { references, ...rest } = this.#parts.next;
    const { connection, removed } = rest;
    const rows = withCopies(references, copied, context);
    const next: NewState = { ...rest, references: { ...references, rows } };
    const record = this.#record ?? this.#fittingRecord(next);
    const { references: before } = state;
    const formerOwner = (secretId: string): string | null => this.#secrets.formerOwner(secretId);
    return {
      connection,
      secured: record,
      references: {
        set: rows,
        removePathHashes: removed.map((row) => row.pathHash),
        isWithdrawn: isWithdrawn(before, rows, removed),
      },
      stored: this.#secrets.committed(stored),
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
   * The changes to commit when the new state is given up: what becomes of the names that it was about to write.
   *
   * @param changes other changes to commit along with them
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
    const { state, context } = this.#parts;
    const record = securedRecord(connection, references.rows, state.foreign, context);
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
