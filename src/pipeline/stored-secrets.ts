import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { sha256Hex } from '../hash.js';
import type { Stored } from '../secrets-managers/port.js';
import type { PlanContext } from './context.js';
import type { LockedState, StoredChanges } from './ledger.js';
import type { PlannedWrite } from './new-references.js';

/** What is known of writes that are given up. */
export interface GivenUp {
  /** Since the claim was taken: what has no answer can land for as long from now. */
  readonly elapsedMs: number;
  /** What the store said of each name; of the others nothing was asked. */
  readonly answers: ReadonlyMap<string, WriteAnswer>;
}

export type WriteAnswer = 'applied' | 'refused' | 'unknown';

/** How the rows of a connection's stored secrets change with a new state. */
export class StoredSecretPlan {
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
   * Milliseconds until a name that is needed may be touched again (its deletion may still be on its way); 0: now.
   */
  get waitMs(): number {
    const deleting = [...this.#used].flatMap((secretId) => {
      const row = this.#ownById.get(secretId);
      return row?.state === 'deleting' ? [(row.dueAtMs ?? 0) - this.#state.nowMs] : [];
    });
    return deleting.length === 0 ? 0 : Math.max(1, ...deleting);
  }

  /** Whether our records say that the store has this name, written by us. */
  isKnown(secretId: string): boolean {
    const row = this.#ownById.get(secretId);
    return row !== undefined && row.state !== 'deleted' && row.version !== null;
  }

  /** The connection that had this name before and lost it. */
  formerOwner(secretId: string): string | null {
    return this.#ownById.has(secretId) ? null : (this.#formerRow(secretId)?.connectionId ?? null);
  }

  /** Before the first request: every name about to be written is recorded. */
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
   * With the new state: what was written and what is used is live, everything else is retired. A name that somebody
   * else's claim left as `writing` is in doubt: one of its requests may still land.
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
   * When the writes were given up and the old state stays: what was live goes on under its recorded version, new names are
   * retired, whether anything got into the store or not. In doubt is what a request without an answer may still land on;
   * where one of ours was applied to a live name, the recorded version can be put back at once.
   */
  abandoned({ elapsedMs, answers }: GivenUp): StoredChanges {
    const nowMs = this.#state.nowMs + Math.ceil(elapsedMs);
    const { graceMs, lateRequestMs } = this.#context.rules;
    const { connection, references } = this.#state;
    // While the connection is another manager's, none of its fields uses a name of this one.
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
   * The rows that the new state no longer uses, deleted after the grace: names of the active manager that no field has any
   * more, and every one of any other manager. The connection has left those as a whole.
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
