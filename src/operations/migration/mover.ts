import type { ConnectionRow } from '../../database/rows.js';
import { EventError, WorkerError, type ErrorCode } from '../../errors.js';
import { SecretAudit } from '../../pipeline/audit.js';
import type { Claim } from '../../pipeline/claim.js';
import type { ClaimGuard } from '../../pipeline/claim-guard.js';
import type { PlanContext } from '../../pipeline/context.js';
import { FieldRules } from '../../pipeline/field-rules.js';
import type { ClaimResult, Decision, Ledger, LockedState } from '../../pipeline/ledger.js';
import { movedState } from '../../pipeline/new-state.js';
import { carriedSecretIds } from '../../pipeline/plan.js';
import { appliedSource } from '../../pipeline/secured-record.js';
import { StatePlan } from '../../pipeline/state-plan.js';
import { Writer } from '../../pipeline/writer.js';
import type { EventOrder } from '../../terms.js';
import type { OutboxRow } from '../../database/rows.js';

/** What became of one connection. */
export type MoveResult =
  | { readonly kind: 'moved'; readonly copied: number }
  /** The active manager keeps it already, or it is deleted. */
  | { readonly kind: 'current' }
  /** Somebody else works on it. */
  | { readonly kind: 'busy' }
  /** Not as it is: somebody has to do something. Its values stay where they are. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

export interface MoverParts {
  readonly context: PlanContext;
  readonly ledger: Ledger;
  readonly guard: ClaimGuard;
  /** Who moves them, for the audit. */
  readonly actor: string;
  /** Publishes what is committed and gives the claim back; or leaves the records to others and gives it back. */
  publish(claim: Claim, unsent: readonly OutboxRow[]): Promise<void>;
  /** Gives a claim back of which nothing is to be published. */
  release(claim: Claim): Promise<void>;
}

type Moving = Extract<ClaimResult<StatePlan>, { kind: 'writing' }>;

/**
 * Moves connections to the active manager, each under its claim: recorded versions read from the former one, written,
 * read back and compared, committed with a secured event `migrated`; the former names are retired in that commit. The
 * copying itself is the pipeline's: an event that comes first does the same.
 */
export class Mover {
  readonly #parts: MoverParts;
  readonly #writer: Writer;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    this.#writer = new Writer(parts.context);
  }

  /** Rejects with a `transient` WorkerError where the store, the database or the broker is not there. */
  async move(connectionId: string, signal: AbortSignal): Promise<MoveResult> {
    const { ledger, context } = this.#parts;
    let refusal: EventError | null = null;
    const [result] = await ledger.claim<StatePlan>([
      {
        connectionId,
        eventHash: null,
        secretIds: (connection, references) => carriedSecretIds(connection, references, context),
        decide: (state) => {
          refusal = null;
          try {
            return this.#decide(state);
          } catch (error) {
            if (!(error instanceof EventError)) throw error;
            refusal = error;
            return NOTHING;
          }
        },
      },
    ]);
    switch (result?.kind) {
      case 'settled':
        return refusal === null ? { kind: 'current' } : failed(refusal);
      case 'committed':
        await this.#parts.publish(result.claim, result.unsent);
        return { kind: 'moved', copied: 0 };
      case 'writing':
        return this.#copy(result, signal);
      default:
        return { kind: 'busy' };
    }
  }

  #decide(state: LockedState): Decision<StatePlan> {
    const { context, actor } = this.#parts;
    const { connection, nowMs } = state;
    if (!isToMove(connection, context)) return NOTHING;
    const order = connection.appliedOrder as EventOrder;
    const rules = new FieldRules(context, state, order, connection.name ?? '');
    const next = movedState({ state, context }, order, (row) => rules.carryOver(row));
    const plan = new StatePlan({
      state,
      context,
      next,
      source: appliedSource(connection),
      audit: new SecretAudit({ connectionId: connection.id, actor, eventId: null }, nowMs),
    });
    if (plan.waitMs > 0) return { kind: 'later', waitMs: plan.waitMs };
    const outcome = { name: 'applied', code: null } as const;
    return plan.isReady
      ? { kind: 'commit', outcome, changes: plan.changes() }
      : { kind: 'write', plan, changes: { stored: plan.marks() } };
  }

  async #copy({ claim, plan }: Moving, signal: AbortSignal): Promise<MoveResult> {
    const { guard } = this.#parts;
    const holder = { claim };
    const { writes, sealings } = plan;
    const startedMs = performance.now();
    const request = { writes, sealings, claim, purpose: `move:${claim.connectionId}` };
    const result = await this.#writer.write(request, guard.callFor(holder, signal));
    switch (result.kind) {
      case 'written':
        try {
          await this.#commit(holder.claim, plan.changes(result.written));
        } catch (error) {
          if (!(error instanceof EventError)) throw error;
          return this.#giveUp(holder.claim, plan, error, startedMs);
        }
        return { kind: 'moved', copied: writes.length + sealings.length };
      case 'refused':
        return this.#giveUp(holder.claim, plan, result.error, startedMs);
      case 'denied':
        return this.#giveUp(holder.claim, plan, new EventError('STORE_DENIED', result.detail), startedMs);
      case 'failed':
        // After an attempt of unknown outcome the claim runs out: the request may still land.
        if (result.outcomeKnown) await this.#parts.release(holder.claim);
        throw result.error;
    }
  }

  /** The values stay where they are; the names that were to be written are retired. */
  async #giveUp(claim: Claim, plan: StatePlan, error: EventError, startedMs: number): Promise<MoveResult> {
    await this.#commit(claim, plan.givenUp(performance.now() - startedMs));
    return failed(error);
  }

  async #commit(claim: Claim, changes: Parameters<Ledger['commit']>[0][number]['changes']): Promise<void> {
    const [committed] = await this.#parts.ledger.commit([{ claim, changes }]);
    if (committed == null)
      throw new WorkerError(
        'CLAIM_LOST',
        `connection ${claim.connectionId} was taken over by another worker`,
      );
    await this.#parts.publish(claim, committed.unsent);
  }
}

const NOTHING: Decision<StatePlan> = {
  kind: 'settle',
  outcome: { name: 'duplicate', code: null },
  changes: {},
};

/** What is deleted has no values; its retired secrets are the janitor's. */
function isToMove({ state, manager }: ConnectionRow, { manager: active }: PlanContext): boolean {
  return (state === 'live' || state === 'softDeleted') && manager !== active.name;
}

function failed({ code, message }: EventError): MoveResult {
  return { kind: 'failed', code, message };
}
