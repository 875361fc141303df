import { setTimeout as sleep } from 'node:timers/promises';
import pLimit, { type LimitFunction } from 'p-limit';
import { EventError, WorkerError, type ErrorCode } from '../errors.js';
import type { RecordOutcome } from '../terms.js';
import type { MonotonicClock, ClaimGuard } from './claim.js';
import type { ManagerSource, PlanContext } from './context.js';
import type { ClaimRequest, Decision, LockedState, Outcome } from './ledger.js';
import { askedSecretIds, decideEvent, keptEventsFor, refuseEvent, type WritePlan } from './plan.js';
import type { Note } from './notes.js';
import type { PreparedEvent } from './prepare.js';
import type { GivenUp } from './state-change.js';
import type { Acted, Claimed, Done, UnderClaim } from './under-claim.js';
import { unstorable } from './unprocessed.js';
import { Writer, type WriteResult } from './writer.js';

/** Longest wait for another worker's claim before the record goes back to the transport, milliseconds. */
const BUSY_WAIT_MS = 1_500;
const BUSY_POLL_MS = 100;

export interface ProcessorParts {
  readonly context: PlanContext;
  readonly managers: ManagerSource;
  readonly underClaim: UnderClaim;
  readonly guard: ClaimGuard;
  readonly clock: MonotonicClock;
  /** How many events may write to the store at the same time. */
  readonly storeLanes: number;
}

export interface Processed {
  readonly outcome: RecordOutcome;
  readonly code: ErrorCode | null;
  readonly notes: readonly Note[];
  /** Values written to the store. */
  readonly writes: number;
  /** Whether this connection has waiting events, which may succeed now. */
  readonly hasWaiting: boolean;
}

/** The worker stops before anything was sent to the store, so the claim can be released at once. */
const NOT_BEGUN: WriteResult = {
  kind: 'failed',
  error: new WorkerError('STORE_UNAVAILABLE', 'the write was given up before its turn came'),
  answers: new Map(),
};

type Decide = (state: LockedState) => Decision<WritePlan>;

/** Processes one event under its connection's claim ({@link UnderClaim}): decides, writes its values, says what to commit. */
export class EventProcessor {
  readonly #parts: ProcessorParts;
  readonly #writer: Writer;
  readonly #storeLanes: LimitFunction;

  constructor(parts: ProcessorParts) {
    this.#parts = parts;
    this.#writer = new Writer(parts.context, parts.managers);
    this.#storeLanes = pLimit(parts.storeLanes);
  }

  /** Rejects with a retryable WorkerError if the same event has to be processed again later. */
  async process(prepared: PreparedEvent, signal: AbortSignal): Promise<Processed> {
    const { context } = this.#parts;
    const refused =
      (refusal: EventError, kept: 'whole' | 'bare'): Decide =>
      (state) =>
        refuseEvent(prepared, refusal, state, context, kept);
    try {
      return await this.#process(prepared, signal, (state) => decideEvent(prepared, state, context));
    } catch (error) {
      // The database refuses the event's rows: it becomes a dead letter, if need be without its payload.
      const refusal = unstorable(error);
      if (refusal === null) throw error;
      try {
        return await this.#process(prepared, signal, refused(refusal, 'whole'));
      } catch (again) {
        if (unstorable(again) === null) throw again;
        return this.#process(prepared, signal, refused(refusal, 'bare'));
      }
    }
  }

  /** Waits up to {@link BUSY_WAIT_MS} for a claim that another worker holds. */
  async #process(prepared: PreparedEvent, signal: AbortSignal, decide: Decide): Promise<Processed> {
    const { underClaim, clock } = this.#parts;
    const untilMs = clock() + BUSY_WAIT_MS;
    const request = this.#request(prepared, decide);
    let writes = 0;
    for (;;) {
      const done = await underClaim.run(request, async (claimed) => {
        const acted = await this.#write(prepared, claimed, signal);
        writes = claimed.plan.writes.length;
        return acted;
      });
      if (done.kind !== 'busy') return processed(done, writes);
      const leftMs = untilMs - clock();
      if (leftMs <= 0 || signal.aborted)
        throw new WorkerError(
          'CLAIM_LOST',
          `connection ${request.connectionId} is claimed by another worker`,
        );
      const waitMs = Math.min(done.waitMs, BUSY_POLL_MS, leftMs);
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #request(prepared: PreparedEvent, decide: Decide): ClaimRequest<WritePlan> {
    const { context } = this.#parts;
    return {
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
  }

  async #write(prepared: PreparedEvent, claimed: Claimed<WritePlan>, signal: AbortSignal): Promise<Acted> {
    const { clock, guard, context } = this.#parts;
    const { plan, claim } = claimed;
    const startedMs = clock();
    const request = { writes: plan.writes, claim, purpose: `event:${prepared.eventHash}` };
    const givenUp = (answers: GivenUp['answers']): GivenUp => ({ elapsedMs: clock() - startedMs, answers });
    // `callFor` checks the claim right before each request, so time spent waiting for a lane counts.
    const result = await this.#storeLanes(() =>
      signal.aborted
        ? NOT_BEGUN
        : this.#writer.write(request, guard.callFor(claimed, context.manager.name, signal)),
    );
    switch (result.kind) {
      case 'written': {
        const { stored } = result.written;
        const applied = (): GivenUp =>
          givenUp(new Map([...stored.keys()].map((secretId) => [secretId, 'applied' as const])));
        try {
          const changes = plan.finish(result.written);
          const outcome = { name: 'applied', code: null, notes: plan.notes } as const;
          // If the database refuses the new state, only this event becomes a dead letter.
          return { kind: 'commit', outcome, changes, otherwise: (refusal) => kept(plan, refusal, applied()) };
        } catch (error) {
          if (error instanceof EventError) return kept(plan, error, applied());
          throw error;
        }
      }
      case 'refused':
        return kept(plan, result.error, givenUp(result.answers));
      case 'denied': {
        const { code, detail, answers } = result;
        return {
          kind: 'commit',
          outcome: { name: prepared.isLastTry ? 'refused' : 'waiting', code },
          changes: plan.wait(code, detail, givenUp(answers)),
          otherwise: (refusal) => kept(plan, refusal, givenUp(answers)),
        };
      }
      case 'failed': {
        const { error, answers } = result;
        const nothing = { kind: 'nothing', error, mayLand: answers === null } as const;
        if (answers === null || [...answers.values()].includes('applied')) return nothing;
        // No request of ours can still reach the store: its names are not in doubt, and the janitor need not check them.
        return { ...nothing, undo: plan.giveBack(givenUp(answers)) };
      }
    }
  }
}

/** Under the claim: makes the event a dead letter, without its payload if the database refuses that one, too. */
function kept(plan: WritePlan, refusal: EventError, given: GivenUp): Acted {
  return {
    kind: 'commit',
    outcome: { name: 'refused', code: refusal.code },
    changes: plan.refuse(refusal, given, 'whole'),
    otherwise: () => ({
      kind: 'commit',
      outcome: { name: 'refused', code: 'EVENT_NOT_STORABLE' },
      changes: plan.refuse(refusal, given, 'bare'),
    }),
  };
}

/** @param writes how many values it wrote to the store, if it was applied */
function processed(done: Exclude<Done, { kind: 'busy' }>, writes: number): Processed {
  switch (done.kind) {
    case 'settled':
      return told(done.outcome, 0, false);
    case 'committed':
      if (done.unpublished !== null) throw done.unpublished;
      return told(done.outcome, done.outcome.name === 'applied' ? writes : 0, done.hasWaiting);
    case 'left':
    case 'lost':
      throw done.error ?? new TypeError('an event was left uncommitted without an error');
  }
}

function told({ name, code, notes = [] }: Outcome, writes: number, hasWaiting: boolean): Processed {
  return { outcome: name, code, notes, writes, hasWaiting };
}
