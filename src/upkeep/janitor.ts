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

/** Who did it, where no event is behind it. */
export const OURSELVES = 'connection-secrets-worker';
/** How many connections one round takes up. */
const ROUND_LIMIT = 100;
/** Between two rounds while something is in doubt, milliseconds: whoever holds a claim may be done sooner. */
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS] = [200, 1_000];
/** For the last round, when nothing can land any more, milliseconds. */
const SLACK_MS = 2_000;
/** What the store refused for certain is tried again after this, milliseconds. */
const RETRY_MS = 60_000;
/** What is lost stays lost until somebody publishes it again: it need not be looked at every minute. */
const LOST_RETRY_MS = 3_600_000;

export interface JanitorParts {
  readonly ledger: Ledger;
  readonly underClaim: UnderClaim;
  readonly managers: ManagerSource;
  readonly guard: ClaimGuard;
  readonly rules: Omit<TidyRules, 'manager'>;
  /** Keys the idempotency tokens. */
  readonly tokenKey: Buffer;
  /** Seals records that wait to be published. */
  readonly ring: Sealer;
  /** Who repairs, for the audit. Default: this program, by itself. */
  readonly actor?: string;
  /** Told once of each manager that cannot be opened. */
  readonly onUnopened?: (name: ManagerName, error: ConfigurationError) => void;
}

/** What a round did. `lost`: recorded versions that the store no longer has; somebody has to publish those again. */
export interface TidyCounts {
  deleted: number;
  repaired: number;
  lost: number;
}

export interface FinishOptions {
  /** How long others may hold a claim, milliseconds. */
  readonly claimMs: number;
  /** Told of each round that did something. */
  readonly onRound: (counts: TidyCounts) => void;
  /** Told once, before the first wait: how long at least, milliseconds. */
  readonly onWait: (waitMs: number) => void;
}

const TIDIED = { name: 'applied', code: null } as const;

interface NamedStore {
  readonly manager: ManagerName;
  readonly store: SecretStore;
}

/** What became of one secret: its new row, what the audit says, whether a request may still be on its way. */
interface Handled {
  readonly row: StoredSecretRow;
  readonly action: Extract<AuditAction, 'delete' | 'forget' | 'repair' | 'lost'> | null;
  readonly outcomeKnown: boolean;
}

/**
 * Looks after stored secrets, each connection under its claim: deletes what is retired and past its grace, cleans up
 * what claims that ran out have left, and puts the recorded version back where a late request has overtaken it.
 */
export class Janitor {
  readonly #parts: JanitorParts;
  readonly #unopened = new Set<ManagerName>();

  constructor(parts: JanitorParts) {
    this.#parts = parts;
  }

  /**
   * One round, over the secrets of the active manager and of all that were active before. Rejects with a `transient`
   * WorkerError; what was done until then stays done.
   */
  async run(signal: AbortSignal): Promise<TidyCounts> {
    const { ledger } = this.#parts;
    const total: TidyCounts = { deleted: 0, repaired: 0, lost: 0 };
    for (const { connectionId, manager } of await ledger.untidy(ROUND_LIMIT, [...this.#unopened])) {
      if (signal.aborted) break;
      const store = await this.#storeOf(manager);
      if (store !== null) await this.#tidy(connectionId, { manager, store }, total, signal);
    }
    return total;
  }

  /**
   * Rounds until nothing is left to do and nothing in doubt, for a process that ends afterwards and may be the only one.
   * Waits while a request that was sent before can still land, but neither for what the store keeps refusing nor for what
   * others begin meanwhile. Returns whether something is still in doubt: that is the next process's. Rejects as
   * {@link run}.
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
   * What there is to do about one connection's secrets of one manager, as {@link run} does it; nothing where somebody else
   * holds its claim.
   */
  async tidy(connectionId: string, manager: ManagerName, signal: AbortSignal): Promise<TidyCounts> {
    const total: TidyCounts = { deleted: 0, repaired: 0, lost: 0 };
    const store = await this.#storeOf(manager);
    if (store !== null) await this.#tidy(connectionId, { manager, store }, total, signal);
    return total;
  }

  /** Null: the settings cannot open this former manager any more (no region). Its secrets stay, and the others go on. */
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

  async #tidy(
    connectionId: string,
    { manager, store }: NamedStore,
    total: TidyCounts,
    signal: AbortSignal,
  ): Promise<void> {
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
        handled = await this.#carryOut(claimed, { manager, store }, signal);
        return this.#acted(handled, claimed.state);
      },
    );
    if (done.kind === 'lost') throw done.error;
    if (done.kind !== 'committed') return;
    total.deleted += handled.filter(({ action }) => action === 'delete').length;
    total.repaired += handled.filter(({ action }) => action === 'repair').length;
    total.lost += handled.filter(({ action }) => action === 'lost').length;
    if (done.unpublished !== null) throw done.unpublished;
  }

  async #carryOut(
    { claim, plan, state }: Claimed<TidyPlan>,
    { manager, store }: NamedStore,
    signal: AbortSignal,
  ): Promise<readonly Handled[]> {
    const call = this.#parts.guard.callWithin(claim, manager, signal);
    const handled: Handled[] = [];
    const works = [
      ...plan.deletions.map((row) => () => this.#delete(row, store, state.nowMs, call)),
      ...plan.repairs.map((row) => () => this.#repair(row, store, state.nowMs, claim.epoch, call)),
    ];
    try {
      for (const work of works) handled.push(await work());
    } catch (error) {
      // No time left for the next request: what is done is committed, the rest stays marked and is looked at again.
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
    // Without our tag, or adopted without a committed value, it is not ours to delete, whatever we once wrote there.
    if (error.code === 'SECRET_NOT_OWNED') return { row: deleted, action: 'forget', outcomeKnown: true };
    if (error.applied === 'unknown') return { row, action: null, outcomeKnown: false };
    return { row: { ...row, state: 'retired', dueAtMs: nowMs + RETRY_MS }, action: null, outcomeKnown: true };
  }

  /** The current version against the recorded one; the recorded one is put back where they differ. */
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

  /** A dead letter for what is lost; it goes again where the recorded version turned out to be there after all. */
  #losses(handled: readonly Handled[], state: LockedState): Pick<Changes, 'deadLetters' | 'outbox'> {
    const told = handled
      .filter(({ action }) => action === 'lost')
      .map(({ row }) => lossChanges(row, state, this.#parts.ring));
    const found = handled.filter(({ row }) => row.suspectUntilMs === null).map(({ row }) => lossHash(row));
    return {
      outbox: told.flatMap(({ outbox = [] }) => outbox),
      deadLetters: {
        set: told.flatMap(({ deadLetters }) => deadLetters?.set ?? []),
        update: told.flatMap(({ deadLetters }) => deadLetters?.update ?? []),
        removeEventHashes: found.filter((hash) => state.deadLetters.some((head) => head.eventHash === hash)),
      },
    };
  }

  /**
   * The audit row of a deletion names the actor who retired the secret; all other rows name us. A loss that has its
   * dead letter was told of before.
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
    const isTold = (row: StoredSecretRow): boolean =>
      deadLetters.some((head) => head.eventHash === lossHash(row));
    return handled.flatMap(({ action, row }) => {
      if (action === null || (action === 'lost' && isTold(row))) return [];
      const { secretId } = row;
      const path = references.find((row) => row.secretId === secretId)?.path ?? null;
      const { actor, eventId, ...cause } = retirements.get(secretId) ?? {
        actor: this.#parts.actor ?? OURSELVES,
        eventId: null,
        path,
      };
      return [
        auditRow({
          atMs: nowMs,
          action,
          actor,
          connectionId: connection.id,
          path: cause.path,
          secretId,
          eventId,
          detail: null,
        }),
      ];
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
  const outcome = { name: 'applied', code: null } as const;
  return plan.rows.length > 0 ? { kind: 'commit', outcome, changes } : { kind: 'settle', outcome, changes };
}

/** Stays in doubt, and is looked at again; a version that is gone is somebody's job, which its dead letter says. */
function unrepaired(row: StoredSecretRow, error: StoreError, nowMs: number): Handled {
  if (error.class === 'not-found' || error.code === 'SECRET_VERSION_GONE') return lost(row, nowMs);
  // It got no answer: the mark that was set before the request stands for as long as the request can land.
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
