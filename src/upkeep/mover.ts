import { WorkerError, EventError, type ErrorCode } from '../errors.js';
import type { Claim, MonotonicClock } from '../pipeline/claim.js';
import type { ClaimGuard } from '../pipeline/claim-guard.js';
import type { ManagerSource, PlanContext } from '../pipeline/context.js';
import { Group } from '../pipeline/group.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  CommitRequest,
  CommitResult,
  Ledger,
} from '../pipeline/ledger.js';
import { decideMove, type MovePlan } from '../pipeline/move.js';
import { carriedSecretIds } from '../pipeline/plan.js';
import type { Publisher } from '../pipeline/publisher.js';
import type { GivenUp } from '../pipeline/stored-secrets.js';
import { Writer } from '../pipeline/writer.js';

export interface MoverParts {
  readonly context: PlanContext;
  readonly managers: ManagerSource;
  readonly ledger: Ledger;
  readonly publisher: Publisher;
  /** False: there is no broker; what is to be published stays for a worker. */
  readonly publishes: boolean;
  readonly guard: ClaimGuard;
  readonly clock: MonotonicClock;
  /** For the audit. */
  readonly actor: string;
}

/** What became of one connection. */
export type Moved =
  | { readonly kind: 'moved'; readonly values: number }
  /** It is there already, or has nothing to be moved. */
  | { readonly kind: 'settled' }
  /** Somebody works on it, or a name of it is not free for a moment. */
  | { readonly kind: 'busy' }
  /** It stays where it is, whole. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly detail: string };

type MoveClaim = Extract<ClaimResult<MovePlan>, { kind: 'writing' }>;

/**
 * Moves connections to the active manager, each as an event would: claim → read the recorded versions where they are →
 * write, read back and compare → commit → publish. Whatever it is stopped at, the connection is whole in one of the two.
 */
export class Mover {
  readonly #parts: MoverParts;
  readonly #writer: Writer;
  readonly #claims: Group<ClaimRequest<MovePlan>, ClaimResult<MovePlan>>;
  readonly #commits: Group<CommitRequest, CommitResult | null>;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    this.#writer = new Writer(parts.context, parts.managers);
    this.#claims = new Group((requests) => parts.ledger.claim(requests));
    this.#commits = new Group((requests) => parts.ledger.commit(requests));
  }

  /** Rejects with what is nobody's connection: the database is away, the manager was changed again. */
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
    const { context, actor } = this.#parts;
    const result = await this.#claims.add({
      connectionId,
      eventHash: null,
      secretIds: (connection, references) => carriedSecretIds(connection, references, context),
      asksForNamesakes: ({ kind, name }) =>
        context.rules.adopt && kind !== null && name !== null
          ? { kind, cleanedName: name.toLowerCase() }
          : null,
      decide: (state) => decideMove(state, context, actor),
    });
    switch (result.kind) {
      case 'busy':
        return { kind: 'busy' };
      case 'settled':
        return { kind: 'settled' };
      case 'committed':
        await this.#publish(result.claim, result.unsent);
        return { kind: 'moved', values: 0 };
      case 'writing':
        return this.#copy(result, signal);
    }
  }

  async #copy({ claim, plan }: MoveClaim, signal: AbortSignal): Promise<Moved> {
    const { guard, clock, publisher } = this.#parts;
    const startedMs = clock();
    const holder = { claim };
    const request = { writes: plan.writes, claim, purpose: `migration:${claim.connectionId}` };
    const result = await this.#writer.write(request, guard.callFor(holder, signal));
    const giveUp = (error: WorkerError, answers: GivenUp['answers']): Promise<Moved> =>
      this.#commit(holder.claim, plan.giveUp({ elapsedMs: clock() - startedMs, answers }), failed(error));
    switch (result.kind) {
      case 'written': {
        let changes: Changes;
        try {
          changes = plan.finish(result.written);
        } catch (error) {
          const applied = [...result.written.stored.keys()].map((secretId) => [secretId, 'applied'] as const);
          if (error instanceof EventError) return giveUp(error, new Map(applied));
          throw error;
        }
        return this.#commit(holder.claim, changes, { kind: 'moved', values: plan.writes.length });
      }
      case 'refused':
        return giveUp(result.error, result.answers);
      case 'denied':
        return giveUp(new WorkerError(result.code, result.detail), result.answers);
      case 'failed':
        // After an attempt of unknown outcome the claim runs out: the request may still land.
        if (result.outcomeKnown) await publisher.release(holder.claim);
        return failed(result.error);
    }
  }

  async #commit(claim: Claim, changes: Changes, done: Moved): Promise<Moved> {
    const result = await this.#commits.add({ claim, changes });
    if (result === null) return { kind: 'busy' };
    await this.#publish(claim, result.unsent);
    return done;
  }

  /** What cannot be published now is found by the relay: the connection is moved all the same. */
  async #publish(claim: Claim, unsent: CommitResult['unsent']): Promise<void> {
    const { publisher, publishes } = this.#parts;
    if (!publishes) return publisher.release(claim);
    try {
      await publisher.publish(claim, unsent);
    } catch (error) {
      const isPassing = error instanceof WorkerError && PUBLISHING.has(error.code);
      if (!isPassing) throw error;
    }
  }
}

const PUBLISHING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BROKER_UNAVAILABLE', 'CLAIM_LOST']);

function failed({ code, message }: WorkerError): Moved {
  return { kind: 'failed', code, detail: message };
}

/** What is this one connection's; null: everybody's. */
function failureOf(error: unknown): Moved | null {
  if (error instanceof EventError) return failed(error);
  if (!(error instanceof WorkerError && 'failure' in error)) return null;
  const { failure, message } = error;
  if (failure === 'refused') return { kind: 'failed', code: 'EVENT_NOT_STORABLE', detail: message };
  // Its row is kept locked by somebody: it is tried again, the others go on.
  return failure === 'locked' ? failed(error) : null;
}
