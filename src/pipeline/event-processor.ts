import { setTimeout as sleep } from 'node:timers/promises';
import pLimit, { type LimitFunction } from 'p-limit';
import { EventError, WorkerError, type ErrorCode } from '../errors.js';
import type { RecordOutcome } from '../terms.js';
import type { Claim, MonotonicClock } from './claim.js';
import type { ClaimGuard } from './claim-guard.js';
import type { ManagerSource, PlanContext } from './context.js';
import { Group, type GroupOptions } from './group.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  CommitRequest,
  CommitResult,
  Decision,
  Ledger,
  LockedState,
  Outcome,
} from './ledger.js';
import { askedSecretIds, decideEvent, keptEventsFor, refuseEvent, type WritePlan } from './plan.js';
import type { Note } from './notes.js';
import type { PreparedEvent } from './prepare.js';
import type { Publisher } from './publisher.js';
import type { Written } from './state-change.js';
import type { GivenUp } from './stored-secrets.js';
import { unstorable } from './unprocessed.js';
import { Writer } from './writer.js';

/** Longest time to wait for somebody else's claim before the record is handed back, milliseconds. */
const BUSY_WAIT_MS = 1_500;
const BUSY_POLL_MS = 100;

export interface ProcessorParts {
  readonly context: PlanContext;
  readonly managers: ManagerSource;
  readonly ledger: Ledger;
  readonly publisher: Publisher;
  readonly guard: ClaimGuard;
  readonly clock: MonotonicClock;
  /** How groups are made. A database that has one transaction at a time has one line. */
  readonly groups: GroupOptions;
  /** Events that write to the store at the same time. */
  readonly storeLanes: number;
}

export interface Processed {
  readonly outcome: RecordOutcome;
  readonly code: ErrorCode | null;
  readonly notes: readonly Note[];
  /** Values written to the store. */
  readonly writes: number;
  /** Whether events of this connection wait that may be possible now. */
  readonly hasWaiting: boolean;
}

type EventClaim = Extract<ClaimResult<WritePlan>, { kind: 'writing' }>;

/**
 * The way of one event, in this order and no other: claim → write new values → commit → publish → mark and release.
 * Everything before the commit can be repeated; everything after it is found again by a redelivery or the relay.
 */
export class EventProcessor {
  readonly #parts: ProcessorParts;
  readonly #writer: Writer;
  readonly #claims: Group<ClaimRequest<WritePlan>, ClaimResult<WritePlan>>;
  readonly #commits: Group<CommitRequest, CommitResult | null>;
  readonly #storeLanes: LimitFunction;

  constructor(parts: ProcessorParts) {
    this.#parts = parts;
    this.#writer = new Writer(parts.context, parts.managers);
    this.#claims = new Group((requests) => parts.ledger.claim(requests), parts.groups);
    this.#commits = new Group((requests) => parts.ledger.commit(requests), parts.groups);
    this.#storeLanes = pLimit(parts.storeLanes);
  }

  /** Rejects with a retryable WorkerError where the same event is to be handled again later. */
  async process(prepared: PreparedEvent, signal: AbortSignal): Promise<Processed> {
    const { context } = this.#parts;
    try {
      return await this.#process(prepared, signal, (state) => decideEvent(prepared, state, context));
    } catch (error) {
      const refusal = unstorable(error);
      if (refusal === null) throw error;
      return await this.#refuse(prepared, refusal, signal);
    }
  }

  /** Keeps the event as a dead letter; where the database refuses that as well, without its payload. */
  async #refuse(prepared: PreparedEvent, refusal: EventError, signal: AbortSignal): Promise<Processed> {
    const { context } = this.#parts;
    try {
      return await this.#process(prepared, signal, (state) =>
        refuseEvent(prepared, refusal, state, context, 'whole'),
      );
    } catch (error) {
      if (unstorable(error) === null) throw error;
      return this.#process(prepared, signal, (state) =>
        refuseEvent(prepared, refusal, state, context, 'bare'),
      );
    }
  }

  async #process(
    prepared: PreparedEvent,
    signal: AbortSignal,
    decide: (state: LockedState) => Decision<WritePlan>,
  ): Promise<Processed> {
    const result = await this.#claim(prepared, signal, decide);
    switch (result.kind) {
      case 'settled':
        return {
          outcome: result.outcome.name,
          code: result.outcome.code,
          notes: [],
          writes: 0,
          hasWaiting: false,
        };
      case 'committed':
        await this.#parts.publisher.publish(result.claim, result.unsent);
        return {
          outcome: result.outcome.name,
          code: result.outcome.code,
          notes: result.outcome.notes ?? [],
          writes: 0,
          hasWaiting: result.hasWaiting,
        };
      case 'writing':
        return this.#write(prepared, result, signal);
    }
  }

  /** Takes the claim; waits a while for one that somebody else holds. */
  async #claim(
    prepared: PreparedEvent,
    signal: AbortSignal,
    decide: (state: LockedState) => Decision<WritePlan>,
  ): Promise<Exclude<ClaimResult<WritePlan>, { kind: 'busy' }>> {
    const { context, clock } = this.#parts;
    const untilMs = clock() + BUSY_WAIT_MS;
    const request: ClaimRequest<WritePlan> = {
      connectionId: prepared.event.connectionId,
      eventHash: prepared.eventHash,
      reusedHash: prepared.reusedHash,
      secretIds: (connection, references) => askedSecretIds(prepared, connection, references, context),
      asksForNamesakes: () => {
        const { kind, name } = prepared.event;
        return context.rules.adopt && name !== null ? { kind, cleanedName: name.toLowerCase() } : null;
      },
      keptEvents: keptEventsFor(prepared, context),
      decide,
    };
    for (;;) {
      const result = await this.#claims.add(request);
      if (result.kind !== 'busy') return result;
      const leftMs = untilMs - clock();
      if (leftMs <= 0 || signal.aborted)
        throw new WorkerError(
          'CLAIM_LOST',
          `connection ${prepared.event.connectionId} is claimed by another worker`,
        );
      await sleep(Math.min(result.waitMs, BUSY_POLL_MS, leftMs), undefined, { signal }).catch(
        () => undefined,
      );
    }
  }

  async #write(
    prepared: PreparedEvent,
    { claim, plan }: EventClaim,
    signal: AbortSignal,
  ): Promise<Processed> {
    const { clock } = this.#parts;
    const startedMs = clock();
    const holder = { claim };
    const request = { writes: plan.writes, claim, purpose: `event:${prepared.eventHash}` };
    const givenUp = (answers: GivenUp['answers']): GivenUp => ({ elapsedMs: clock() - startedMs, answers });
    // The claim is looked at once the lane is ours, right before each request.
    const result = await this.#storeLanes(() =>
      this.#writer.write(request, this.#parts.guard.callFor(holder, signal)),
    );
    switch (result.kind) {
      case 'written':
        return this.#commitOrRefuse(holder.claim, plan, result.written, startedMs);
      case 'refused':
        return this.#keep(holder.claim, plan, result.error, givenUp(result.answers));
      case 'denied': {
        const outcome = { name: prepared.isLastTry ? 'refused' : 'waiting', code: result.code } as const;
        try {
          return await this.#commit(
            holder.claim,
            plan.wait(result.code, result.detail, givenUp(result.answers)),
            outcome,
            0,
          );
        } catch (error) {
          const refusal = unstorable(error);
          if (refusal === null) throw error;
          return this.#keep(holder.claim, plan, refusal, givenUp(result.answers));
        }
      }
      case 'failed':
        // After an attempt of unknown outcome the claim runs out: the request may still land, and nobody may write before.
        if (result.outcomeKnown) await this.#parts.publisher.release(holder.claim);
        throw result.error;
    }
  }

  /** A state that the database does not take harms only its own event: that becomes a dead letter, under the same claim. */
  async #commitOrRefuse(
    claim: Claim,
    plan: WritePlan,
    written: Written,
    startedMs: number,
  ): Promise<Processed> {
    try {
      const changes = plan.finish(written);
      return await this.#commit(
        claim,
        changes,
        { name: 'applied', code: null, notes: plan.notes },
        plan.writes.length,
      );
    } catch (error) {
      const refusal = error instanceof EventError ? error : unstorable(error);
      if (refusal === null) throw error;
      const answers = new Map([...written.stored.keys()].map((secretId) => [secretId, 'applied' as const]));
      return this.#keep(claim, plan, refusal, { elapsedMs: this.#parts.clock() - startedMs, answers });
    }
  }

  /** Under the claim: the event as a dead letter; where the database refuses that as well, without its payload. */
  async #keep(claim: Claim, plan: WritePlan, refusal: EventError, given: GivenUp): Promise<Processed> {
    try {
      const changes = plan.refuse(refusal, given, 'whole');
      return await this.#commit(claim, changes, { name: 'refused', code: refusal.code }, 0);
    } catch (error) {
      if (unstorable(error) === null) throw error;
      const changes = plan.refuse(refusal, given, 'bare');
      return this.#commit(claim, changes, { name: 'refused', code: 'EVENT_NOT_STORABLE' }, 0);
    }
  }

  async #commit(claim: Claim, changes: Changes, outcome: Outcome, writes: number): Promise<Processed> {
    const result = await this.#commits.add({ claim, changes });
    if (result === null)
      throw new WorkerError(
        'CLAIM_LOST',
        `connection ${claim.connectionId} was taken over by another worker`,
      );
    await this.#parts.publisher.publish(claim, result.unsent);
    const { name, code, notes = [] } = outcome;
    return { outcome: name, code, notes, writes, hasWaiting: result.hasWaiting };
  }
}
