import { WorkerError, EventError, type ErrorCode } from '../errors.js';
import type { MonotonicClock, ClaimGuard } from '../pipeline/claim.js';
import type { ManagerSource, PlanContext } from '../pipeline/context.js';
import { decideMove, type MovePlan } from '../pipeline/move.js';
import { carriedSecretIds } from '../pipeline/plan.js';
import type { GivenUp } from '../pipeline/state-change.js';
import type { Acted, Claimed, UnderClaim } from '../pipeline/under-claim.js';
import { Writer } from '../pipeline/writer.js';

interface MoverParts {
  readonly context: PlanContext;
  readonly managers: ManagerSource;
  readonly underClaim: UnderClaim;
  readonly guard: ClaimGuard;
  readonly clock: MonotonicClock;
  /** For the audit. */
  readonly actor: string;
}

/** The result for one connection. */
export type Moved =
  | { readonly kind: 'moved'; readonly values: number }
  /** It is in the active manager already, or has nothing to move. */
  | { readonly kind: 'settled' }
  /** Another worker has its claim, or one of its secret ids is not free yet. */
  | { readonly kind: 'busy' }
  /** It stays where it is, complete. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string };

/** Outcome of a connection that stays where it is. */
const LEFT = { name: 'refused', code: null } as const;
const MOVED = { name: 'applied', code: null } as const;

/**
 * Moves connections to the active manager, as an event would: claim → read the recorded versions in the former manager →
 * write, read back and compare → commit → publish. After a crash at any point, a connection is complete in one of the two.
 */
export class Mover {
  readonly #parts: MoverParts;
  readonly #writer: Writer;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    this.#writer = new Writer(parts.context, parts.managers);
  }

  /** Rejects only with errors that concern all connections: no database, or the manager was changed again. */
  async move(connectionId: string, signal: AbortSignal): Promise<Moved> {
    try {
      return await this.#move(connectionId, signal);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      return failure;
    }
  }

  async #move(connectionId: string, signal: AbortSignal): Promise<Moved> {
    const { context, actor, underClaim } = this.#parts;
    let moved: Moved = { kind: 'moved', values: 0 };
    const done = await underClaim.run(
      {
        connectionId,
        eventHash: null,
        secretIds: (connection, references) => carriedSecretIds(connection, references, context),
        asksForNamesakes: ({ kind, name }) =>
          context.rules.adopt && kind !== null && name !== null
            ? { kind, cleanedName: name.toLowerCase() }
            : null,
        decide: (state) => decideMove(state, context, actor),
      },
      async (claimed: Claimed<MovePlan>) => {
        const copied = await this.#copy(claimed, signal);
        moved = copied.moved;
        return copied.acted;
      },
    );
    switch (done.kind) {
      case 'settled':
        return { kind: 'settled' };
      case 'busy':
      case 'lost':
        return { kind: 'busy' };
      // The relay publishes what could not be published now: the connection is moved in any case.
      case 'committed':
      case 'left':
        return moved;
    }
  }

  async #copy(
    claimed: Claimed<MovePlan>,
    signal: AbortSignal,
  ): Promise<{ readonly moved: Moved; readonly acted: Acted }> {
    const { guard, clock, context } = this.#parts;
    const { claim, plan } = claimed;
    const startedMs = clock();
    const request = { writes: plan.writes, claim, purpose: `migration:${claim.connectionId}` };
    const result = await this.#writer.write(request, guard.callFor(claimed, context.manager.name, signal));
    const giveUp = (error: WorkerError, answers: GivenUp['answers']) => {
      const changes = plan.giveUp({ elapsedMs: clock() - startedMs, answers });
      return { moved: failed(error), acted: { kind: 'commit', outcome: LEFT, changes } as const };
    };
    switch (result.kind) {
      case 'written':
        try {
          const changes = plan.finish(result.written);
          const moved = { kind: 'moved', values: plan.writes.length } as const;
          return { moved, acted: { kind: 'commit', outcome: MOVED, changes } };
        } catch (error) {
          const applied = [...result.written.stored.keys()].map((secretId) => [secretId, 'applied'] as const);
          if (error instanceof EventError) return giveUp(error, new Map(applied));
          throw error;
        }
      case 'refused':
        return giveUp(result.error, result.answers);
      case 'denied':
        return giveUp(new WorkerError(result.code, result.detail), result.answers);
      case 'failed': {
        const { error, answers } = result;
        return { moved: failed(error), acted: { kind: 'nothing', error, mayLand: answers === null } };
      }
    }
  }
}

function failed({ code, message }: WorkerError): Moved {
  return { kind: 'failed', code, detail: message };
}

/** The error if it concerns only this connection; null otherwise. */
function failureOf(error: unknown): Moved | null {
  if (error instanceof EventError) return failed(error);
  if (!(error instanceof WorkerError && 'failure' in error)) return null;
  const { failure, message } = error;
  if (failure === 'refused') return { kind: 'failed', code: 'EVENT_NOT_STORABLE', detail: message };
  // Another process holds the row lock: the connection is tried again, and the others go on.
  return failure === 'locked' ? failed(error) : null;
}
