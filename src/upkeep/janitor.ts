import { createHmac } from 'node:crypto';
import type { AuditRow, StoredSecretRow } from '../database/rows.js';
import { auditRow, type AuditAction } from '../pipeline/audit.js';
import type { ManagerSource, Sealer } from '../pipeline/context.js';
import type { ClaimGuard } from '../pipeline/claim.js';
import type { Changes, Decision, Ledger, LockedState } from '../pipeline/ledger.js';
import { lossChanges, lossHash } from '../pipeline/blocking.js';
import { toReference } from '../pipeline/references.js';
import type { Acted, Claimed, UnderClaim } from '../pipeline/under-claim.js';
import type { SecretStore, StoreCall, StoreError } from '../secrets-managers/port.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { pause } from '../pause.js';
import type { ManagerName } from '../terms.js';
import { planTidying, type TidyPlan, type TidyRules } from './tidy-plan.js';

/** The actor in the audit if no event and no operator caused a change. */
export const OURSELVES = 'connection-secrets-worker';
/** One round handles at most this many connections. */
const ROUND_LIMIT = 100;
/** Between two rounds while a secret is in doubt, milliseconds: another worker may release its claim early. */
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS] = [200, 1_000];
/** Time for the last round, after the last moment at which a request can land, milliseconds. */
const SLACK_MS = 2_000;
/** After this, a request that the store has refused is tried again, milliseconds. */
const RETRY_MS = 60_000;
/** A version that is gone stays gone until somebody publishes the value again: check it once an hour. */
const LOST_RETRY_MS = 3_600_000;

export interface JanitorParts {
  readonly ledger: Ledger;
  readonly underClaim: UnderClaim;
  readonly managers: ManagerSource;
  readonly guard: ClaimGuard;
  readonly rules: Omit<TidyRules, 'manager'>;
  /** The HMAC key of the idempotency tokens. */
  readonly tokenKey: Buffer;
  /** Seals records for the outbox. */
  readonly ring: Sealer;
  /** Who repairs, for the audit. Default: {@link OURSELVES}. */
  readonly actor?: string;
  /** Called once for each manager that cannot be opened. */
  readonly onUnopened?: ((name: ManagerName, error: ConfigurationError) => void) | undefined;
}

/** The results of a round. `lost`: recorded versions that the store no longer has; their entities must be published again. */
export interface TidyCounts {
  deleted: number;
  repaired: number;
  lost: number;
}

export interface FinishOptions {
  /** How long another worker may hold a claim, milliseconds. */
  readonly claimMs: number;
  /** Called after each round that did something. */
  readonly onRound: (counts: TidyCounts) => void;
  /** Called once, before the first wait, with its shortest duration in milliseconds. */
  readonly onWait: (waitMs: number) => void;
}

const TIDIED = { name: 'applied', code: null } as const;

/** The result for one secret: its new row, its action in the audit, and whether no request can still be on its way. */
interface Handled {
  readonly row: StoredSecretRow;
  readonly action: Extract<AuditAction, 'delete' | 'forget' | 'repair' | 'lost'> | null;
  readonly outcomeKnown: boolean;
}

/**
 * Maintains the stored secrets of one connection at a time, under its claim:
 *
 * - deletes retired secrets after their grace period
 * - cleans up what expired claims have left
 * - restores the recorded version if a late request has overwritten it
 */
export class Janitor {
  readonly #parts: JanitorParts;
  readonly #unopened = new Set<ManagerName>();

  constructor(parts: JanitorParts) {
    this.#parts = parts;
  }

  /**
   * One round over the secrets of the active manager and of all former ones. Rejects with a `transient` WorkerError;
   * finished work stays.
   */
  async run(signal: AbortSignal): Promise<TidyCounts> {
    const { ledger } = this.#parts;
    const total: TidyCounts = { deleted: 0, repaired: 0, lost: 0 };
    for (const { connectionId, manager } of await ledger.untidy(ROUND_LIMIT, [...this.#unopened])) {
      if (signal.aborted) break;
      const counts = await this.tidy(connectionId, manager, signal);
      for (const result of ['deleted', 'repaired', 'lost'] as const) total[result] += counts[result];
    }
    return total;
  }

  /**
   * Runs rounds until nothing is left to do and no secret is in doubt, for a process that ends afterwards and may be the
   * only one. Waits as long as an earlier request can still land, but not for requests that the store keeps refusing, nor
   * for those that other processes begin in the meantime. Rejects as {@link run}.
   * @returns whether a secret is still in doubt: the next process has to check it
   */
  async finish({ claimMs, onRound, onWait }: FinishOptions, signal: AbortSignal): Promise<boolean> {
    const { ledger, rules } = this.#parts;
    const { lateRequestMs } = rules;
    const endMs = performance.now() + claimMs + lateRequestMs + SLACK_MS;
    const doubtMs = (withinMs: number): Promise<number | null> =>
      ledger.doubtMs({ withinMs, lateRequestMs, except: [...this.#unopened] });
    let hasWaited = false;
    for (;;) {
      const counts = await this.run(signal);
      const didSomething = counts.deleted + counts.repaired + counts.lost > 0;
      if (didSomething) onRound(counts);
      const leftMs = endMs - performance.now();
      const nextMs = leftMs > 0 && !signal.aborted ? await doubtMs(leftMs) : null;
      if (nextMs !== null) {
        if (!hasWaited) onWait(nextMs);
        hasWaited = true;
        const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, nextMs));
        await pause(pauseMs, signal);
      } else if (!didSomething || leftMs <= 0 || signal.aborted)
        return (await doubtMs(Math.max(RETRY_MS, claimMs + lateRequestMs))) !== null;
    }
  }

  /**
   * Maintains one connection's secrets in one manager. Does nothing while another process holds the claim. Rejects as
   * {@link run}.
   */
  async tidy(connectionId: string, manager: ManagerName, signal: AbortSignal): Promise<TidyCounts> {
    const store = await this.#storeOf(manager);
    if (store === null) return { deleted: 0, repaired: 0, lost: 0 };
    const rules = { ...this.#parts.rules, manager };
    let handled: readonly Handled[] = [];
    const done = await this.#parts.underClaim.run(
      {
        connectionId,
        eventHash: null,
        secretIds: () => [],
        asksForReferences: true,
        decide: (state) => decideTidying(state, rules),
      },
      async (claimed: Claimed<TidyPlan>) => {
        const call = this.#parts.guard.callWithin(claimed.claim, manager, signal);
        handled = await this.#carryOut(claimed, store, call);
        return this.#acted(handled, claimed.state);
      },
    );
    if (done.kind === 'lost') throw done.error;
    if (done.kind === 'committed' && done.unpublished !== null) throw done.unpublished;
    const count = (wanted: Handled['action']): number =>
      done.kind === 'committed' ? handled.filter(({ action }) => action === wanted).length : 0;
    return { deleted: count('delete'), repaired: count('repair'), lost: count('lost') };
  }

  /** Null if the settings no longer open this former manager (no region, say): its secrets stay as they are. */
  async #storeOf(name: ManagerName): Promise<SecretStore | null> {
    if (this.#unopened.has(name)) return null;
    try {
      return (await this.#parts.managers.of(name)).store;
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      this.#unopened.add(name);
      this.#parts.onUnopened?.(name, error);
      return null;
    }
  }

  async #carryOut(
    { claim, plan, state }: Claimed<TidyPlan>,
    store: SecretStore,
    call: StoreCall,
  ): Promise<readonly Handled[]> {
    const handled: Handled[] = [];
    const works = [
      ...plan.deletions.map((row) => () => this.#delete(row, store, state.nowMs, call)),
      ...plan.repairs.map((row) => () => this.#repair(row, store, state.nowMs, claim.epoch, call)),
    ];
    try {
      for (const work of works) handled.push(await work());
    } catch (error) {
      // The claim has no time for another request: commit what is done. The rest keeps its marks for the next round.
      if (!(error instanceof WorkerError && error.retryable)) throw error;
    }
    return handled;
  }

  async #acted(handled: readonly Handled[], state: LockedState): Promise<Acted> {
    const update = handled.map(({ row }) => row);
    const audit = await this.#audit(handled, state);
    return {
      kind: 'commit',
      outcome: TIDIED,
      changes: { stored: { update }, audit, ...this.#losses(handled, state) },
      mayLand: handled.some(({ outcomeKnown }) => !outcomeKnown),
    };
  }

  async #delete(row: StoredSecretRow, store: SecretStore, nowMs: number, call: StoreCall): Promise<Handled> {
    const { secretId, connectionId, version } = row;
    const item = { reference: toReference(secretId), connectionId, isCommitted: version !== null };
    const [result] = await store.delete([item], call);
    const deleted: StoredSecretRow = { ...row, state: 'deleted', version: null, dueAtMs: null };
    if (result === undefined) throw new TypeError('the store gave no answer for a deletion');
    if (result.ok) return { row: deleted, action: 'delete', outcomeKnown: true };
    const { error } = result;
    // Without our tag, or adopted without a committed value, it is not ours to delete, even if we once wrote to it.
    if (error.code === 'SECRET_NOT_OWNED') return { row: deleted, action: 'forget', outcomeKnown: true };
    if (error.applied === 'unknown') return { row, action: null, outcomeKnown: false };
    return { row: { ...row, state: 'retired', dueAtMs: nowMs + RETRY_MS }, action: null, outcomeKnown: true };
  }

  /** Compares the store's current version with the recorded one, and restores the recorded one if they differ. */
  async #repair(
    row: StoredSecretRow,
    store: SecretStore,
    nowMs: number,
    epoch: number,
    call: StoreCall,
  ): Promise<Handled> {
    const reference = toReference(row.secretId);
    const current = await store.describe(reference, call);
    if (!current.ok) return unrepaired(row, current.error, nowMs);
    if (current.value.ownedBy !== row.connectionId) return lost(row, nowMs);
    const { scheduledForDeletion, version: currentVersion } = current.value;
    if (row.version === null || (currentVersion === row.version && !scheduledForDeletion))
      return {
        row: { ...row, version: currentVersion, suspectUntilMs: null },
        action: null,
        outcomeKnown: true,
      };
    const { connectionId, version } = row;
    const requestKey = this.#requestKey(row, epoch);
    const restored = await store.restore({ reference, connectionId, version, requestKey }, call);
    if (!restored.ok) return unrepaired(row, restored.error, nowMs);
    return {
      row: { ...row, version: restored.value.version, suspectUntilMs: null },
      action: 'repair',
      outcomeKnown: true,
    };
  }

  /** Makes a dead letter for each version that is gone, and removes it if that version is found again. */
  #losses(handled: readonly Handled[], state: LockedState): Pick<Changes, 'deadLetters' | 'outbox'> {
    const made = handled
      .filter(({ action }) => action === 'lost')
      .map(({ row }) => lossChanges(row, state, this.#parts.ring));
    const found = handled.filter(({ row }) => row.suspectUntilMs === null).map(({ row }) => lossHash(row));
    return {
      outbox: made.flatMap(({ outbox = [] }) => outbox),
      deadLetters: {
        set: made.flatMap(({ deadLetters }) => deadLetters?.set ?? []),
        update: made.flatMap(({ deadLetters }) => deadLetters?.update ?? []),
        removeEventHashes: found.filter((hash) => state.deadLetters.some((head) => head.eventHash === hash)),
      },
    };
  }

  /**
   * The audit row of a deletion names the actor who retired the secret; all other rows name us. A version that is gone and
   * has a dead letter already gets no second row.
   */
  async #audit(
    handled: readonly Handled[],
    { nowMs, connection, references, deadLetters }: LockedState,
  ): Promise<AuditRow[]> {
    const deletedIds = handled.filter(({ action }) => action === 'delete').map(({ row }) => row.secretId);
    const retirements =
      deletedIds.length === 0
        ? new Map<string, AuditRow>()
        : await this.#parts.ledger.retirements(connection.id, deletedIds);
    const hasDeadLetter = (row: StoredSecretRow): boolean =>
      deadLetters.some((head) => head.eventHash === lossHash(row));
    return handled.flatMap(({ action, row }) => {
      if (action === null || (action === 'lost' && hasDeadLetter(row))) return [];
      const { secretId } = row;
      const path = references.find((row) => row.secretId === secretId)?.path ?? null;
      const ours = { actor: this.#parts.actor ?? OURSELVES, eventId: null, path };
      const { actor, eventId, path: itsPath } = retirements.get(secretId) ?? ours;
      const what = { action, secretId, path: itsPath, eventId, detail: null };
      return [auditRow({ atMs: nowMs, actor, connectionId: connection.id, ...what })];
    });
  }

  #requestKey({ secretId, version }: StoredSecretRow, epoch: number): string {
    const text = JSON.stringify(['repair-token', secretId, version, epoch]);
    return createHmac('sha256', this.#parts.tokenKey).update(text).digest('hex');
  }
}

function decideTidying(state: LockedState, rules: TidyRules): Decision<TidyPlan> {
  const plan = planTidying(state, rules);
  const changes = {
    stored: { update: [...plan.rows, ...plan.deletions, ...plan.repairs] },
    audit: plan.abandoned.map(({ connectionId, secretId }) =>
      auditRow({
        atMs: state.nowMs,
        action: 'retire',
        actor: OURSELVES,
        connectionId,
        path: null,
        secretId,
        eventId: null,
        detail: 'left by a claim that ran out',
      }),
    ),
  };
  if (plan.deletions.length > 0 || plan.repairs.length > 0) return { kind: 'write', plan, changes };
  return { kind: plan.rows.length > 0 ? 'commit' : 'settle', outcome: TIDIED, changes };
}

/** The secret stays in doubt and is checked again. If its version is gone, its dead letter tells an operator. */
function unrepaired(row: StoredSecretRow, error: StoreError, nowMs: number): Handled {
  if (error.class === 'not-found' || error.code === 'SECRET_VERSION_GONE') return lost(row, nowMs);
  // After an unknown outcome the mark from before the request stays: it lasts as long as the request can land.
  const outcomeKnown = error.applied === 'no';
  return {
    row: outcomeKnown ? { ...row, suspectUntilMs: nowMs + RETRY_MS } : row,
    action: null,
    outcomeKnown,
  };
}

function lost(row: StoredSecretRow, nowMs: number): Handled {
  return { row: { ...row, suspectUntilMs: nowMs + LOST_RETRY_MS }, action: 'lost', outcomeKnown: true };
}
