import { WorkerError, type ErrorCode, type EventError } from '../errors.js';
import type { Outlet } from '../transport.js';
import { requireTimeFor, type Claim, type MonotonicClock } from './claim.js';
import { Group, type GroupOptions } from './group.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  CommitRequest,
  CommitResult,
  Ledger,
  LockedState,
  Outcome,
  SettleRequest,
} from './ledger.js';
import { askingForNewest, withNewest, type Newest } from './newest.js';
import { openOutgoing, type Opened, type SecuredContext } from './outbox.js';
import { unstorable } from './unprocessed.js';

export interface UnderClaimParts {
  readonly ledger: Pick<Ledger, 'claim' | 'commit' | 'settle'>;
  /** Null: this process publishes nothing. A worker's relay finds what it commits. */
  readonly outlet: Outlet | null;
  /** Makes secured events and opens unsent rows. */
  readonly context: SecuredContext;
  readonly clock: MonotonicClock;
  /** Told of each unsent record that no key opens. */
  readonly onUnpublished?: ((error: WorkerError) => void) | undefined;
  readonly groups?: GroupOptions;
}

/** A connection whose claim we hold, and what was decided about it. */
export interface Claimed<Plan> {
  /** A renewal replaces it. */
  claim: Claim;
  readonly plan: Plan;
  readonly state: LockedState;
}

/** The result of the requests to a store: rows to commit, or nothing. */
export type Acted =
  | {
      readonly kind: 'commit';
      readonly outcome: Outcome;
      readonly changes: Changes;
      /** What to commit instead, if the database refuses these rows themselves. */
      readonly otherwise?: (refusal: EventError) => Acted;
      /** A request may still reach the store, so the claim is left to expire. Default: false. */
      readonly mayLand?: boolean;
    }
  | {
      readonly kind: 'nothing';
      readonly error: WorkerError | null;
      readonly mayLand: boolean;
      /** Puts the rows that were marked for the writes back to what they were. */
      readonly undo?: Changes;
    };

/** Carries out the plan in a store. If it throws, nothing is committed and the claim expires. */
export type Act<Plan> = (claimed: Claimed<Plan>) => Promise<Acted>;

/** A connection's unsent records in publishing order (the newest revision's last), and why others stay unsent. */
export interface Unsent {
  readonly opened: readonly Opened[];
  readonly unopened: readonly WorkerError[];
}

/** Which records to send. `done` are not sent, but marked as sent along with the others. */
export interface Chosen {
  readonly send: readonly Opened[];
  readonly done?: readonly Opened[];
}

export type Done =
  /** Another worker holds the claim, or a secret name that the plan needs is not free yet. */
  | { readonly kind: 'busy'; readonly waitMs: number }
  /** The decision's rows were committed; there was nothing to write to a store or to publish. */
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  | {
      readonly kind: 'committed';
      readonly outcome: Outcome;
      /** Whether this connection has waiting events, which may succeed now. */
      readonly hasWaiting: boolean;
      /** How many records were published. */
      readonly published: number;
      /** Why records were not published; the relay publishes them later. Null: nothing failed. */
      readonly unpublished: WorkerError | null;
    }
  /** Nothing was committed. */
  | { readonly kind: 'left'; readonly error: WorkerError | null }
  /** Another worker has taken the connection over; nothing was committed. */
  | { readonly kind: 'lost'; readonly error: WorkerError };

interface Sending {
  readonly claim: Claim;
  readonly records: readonly Opened[];
}

/** Failures to publish after which the commit still stands. */
const NOT_PUBLISHED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BROKER_UNAVAILABLE', 'CLAIM_LOST']);

/**
 * Every change of a connection goes through here, always in this order: claim → write to the store → commit → publish →
 * mark as sent and release the claim. Every step before the commit can be repeated. If a step after it fails, a
 * redelivery or the relay makes up for it. Many connections share one transaction or one send.
 */
export class UnderClaim {
  readonly #parts: UnderClaimParts;
  readonly #claims: Group<ClaimRequest<unknown>, ClaimResult<unknown>>;
  readonly #commits: Group<CommitRequest, CommitResult | null>;
  readonly #sends: Group<Sending, WorkerError | null>;
  readonly #releases: Group<SettleRequest, null>;

  constructor(parts: UnderClaimParts) {
    const { ledger, groups } = parts;
    this.#parts = parts;
    this.#claims = new Group((requests) => ledger.claim(requests), groups);
    this.#commits = new Group((requests) => ledger.commit(requests), groups);
    this.#sends = new Group((items) => this.#send(items), { ...groups, lines: 1 });
    this.#releases = new Group(
      async (items) => {
        await ledger.settle(items);
        return items.map(() => null);
      },
      { ...groups, lines: 1 },
    );
  }

  /**
   * @param act carries out decisions that write to a store; leave it out where no decision does
   * @param choose which unsent records to send; default: all judged ones
   */
  async run<Plan>(
    request: ClaimRequest<Plan>,
    act: Act<Plan> = neverWrites,
    choose: (unsent: Unsent) => Chosen = allJudged,
  ): Promise<Done> {
    const { context } = this.#parts;
    let newest: Newest | null = null;
    const claiming: ClaimRequest<unknown> = {
      ...request,
      secretIds: askingForNewest(request, context),
      decide: (state) => {
        const decision = request.decide(state);
        if (decision.kind !== 'commit') return decision;
        const made = this.#withNewest(decision.changes, state);
        newest = made.newest;
        return { ...decision, changes: made.changes };
      },
    };
    // The cast is safe: the ledger returns the plan that `decide` gave it.
    const result = (await this.#claims.add(claiming)) as ClaimResult<Plan>;
    switch (result.kind) {
      case 'busy':
      case 'settled':
        return result;
      case 'committed':
        return this.#publish(result.claim, result.outcome, { ...result, newest }, choose);
      case 'writing': {
        const { claim, plan, state } = result;
        const claimed = { claim, plan, state };
        return this.#finish(claimed, await act(claimed), choose);
      }
    }
  }

  async #finish(claimed: Claimed<unknown>, acted: Acted, choose: (unsent: Unsent) => Chosen): Promise<Done> {
    if (acted.kind === 'nothing') {
      const { undo } = acted;
      if (undo !== undefined) await this.#commits.add({ claim: claimed.claim, changes: undo });
      // A request without an answer may still reach the store. Nobody may write before that: the claim has to expire.
      if (!acted.mayLand) await this.#releases.add({ claim: claimed.claim, sentIds: [], isPublished: false });
      return { kind: 'left', error: acted.error };
    }
    const { claim } = claimed;
    const { changes, newest } = this.#withNewest(acted.changes, claimed.state);
    let result: CommitResult | null;
    try {
      result = await this.#commits.add({ claim, changes });
    } catch (error) {
      const refusal = unstorable(error);
      if (refusal === null || acted.otherwise === undefined) throw error;
      return this.#finish(claimed, acted.otherwise(refusal), choose);
    }
    const { outcome } = acted;
    if (result === null) {
      const message = `connection ${claim.connectionId} was taken over by another worker`;
      return { kind: 'lost', error: new WorkerError('CLAIM_LOST', message) };
    }
    if (acted.mayLand === true)
      return { kind: 'committed', outcome, hasWaiting: result.hasWaiting, published: 0, unpublished: null };
    return this.#publish(claim, outcome, { ...result, newest }, choose);
  }

  /** A process that publishes nothing needs this only for a newer revision, which puts the one before it into the outbox. */
  #withNewest(
    changes: Changes,
    state: LockedState,
  ): ReturnType<typeof withNewest> | { changes: Changes; newest: null } {
    const { outlet, context } = this.#parts;
    if (outlet === null && changes.secured === undefined) return { changes, newest: null };
    return withNewest(changes, state, context);
  }

  /** If a send fails, its records may still arrive at the broker: the claim is left to expire, not released. */
  async #publish(
    claim: Claim,
    outcome: Outcome,
    { unsent, newest, hasWaiting }: CommitResult & { readonly newest: Newest | null },
    choose: (unsent: Unsent) => Chosen,
  ): Promise<Done> {
    const { send, done = [] } =
      this.#parts.outlet === null ? { send: [] } : choose(this.#open(unsent, newest));
    const committed = { kind: 'committed', outcome, hasWaiting } as const;
    try {
      const failure = send.length === 0 ? null : await this.#sends.add({ claim, records: send });
      if (failure !== null) throw failure;
    } catch (error) {
      if (!(error instanceof WorkerError && NOT_PUBLISHED.has(error.code))) throw error;
      return { ...committed, published: 0, unpublished: error };
    }
    const ids = [...send, ...done].map(({ id }) => id);
    await this.#releases.add({
      claim,
      sentIds: ids.filter((id) => id !== null),
      isPublished: ids.includes(null) || newest?.isOver === true,
    });
    return { ...committed, published: send.length, unpublished: null };
  }

  #open(rows: CommitResult['unsent'], newest: Newest | null): Unsent {
    const { context, onUnpublished } = this.#parts;
    const unopened: WorkerError[] = [];
    const tell = (error: WorkerError): void => {
      unopened.push(error);
      onUnpublished?.(error);
    };
    const opened = openOutgoing(rows, context.rings.outbox, tell);
    if (newest?.unopened != null) tell(newest.unopened);
    return { opened: [...opened, ...(newest?.opened == null ? [] : [newest.opened])], unopened };
  }

  /** Skips items whose claim has no time left; whoever claims the connection next sends their records. */
  async #send(items: readonly Sending[]): Promise<(WorkerError | null)[]> {
    const { outlet } = this.#parts;
    const late = items.map(({ claim }) => this.#lateness(claim));
    const records = items
      .filter((_, index) => late[index] === null)
      .flatMap((item) => item.records.map(({ record }) => record));
    if (records.length > 0) await outlet?.send(records);
    return late;
  }

  #lateness(claim: Claim): WorkerError | null {
    const { outlet, clock } = this.#parts;
    try {
      requireTimeFor(claim, outlet?.requestTimeoutMs ?? 0, clock());
      return null;
    } catch (error) {
      if (error instanceof WorkerError) return error;
      throw error;
    }
  }
}

function neverWrites(): Promise<Acted> {
  throw new TypeError('a decision writes to a store, and run() was given no act()');
}

/** Version 0.1 checked its records less strictly; the relay checks and sends those. */
function allJudged({ opened }: Unsent): Chosen {
  return { send: opened.filter(({ isJudged }) => isJudged) };
}
