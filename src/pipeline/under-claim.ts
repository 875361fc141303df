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
  /** Null: nothing is published from here; what is committed is found by a worker's relay. */
  readonly outlet: Outlet | null;
  /** What secured events are made with, and unsent rows opened. */
  readonly context: SecuredContext;
  readonly clock: MonotonicClock;
  /** Told of each unsent record that no key opens. */
  readonly onUnpublished?: ((error: WorkerError) => void) | undefined;
  readonly groups?: GroupOptions;
}

/** A connection whose claim is ours, and what was decided about it. */
export interface Claimed<Plan> {
  /** May be replaced by its renewal meanwhile. */
  claim: Claim;
  readonly plan: Plan;
  readonly state: LockedState;
}

/** What came of the requests to a store: rows to commit, or nothing. */
export type Acted =
  | {
      readonly kind: 'commit';
      readonly outcome: Outcome;
      readonly changes: Changes;
      /** What is committed instead where the database refuses these rows as such. */
      readonly otherwise?: (refusal: EventError) => Acted;
      /** A request may still land: the claim is not released, it runs out. Default: false. */
      readonly mayLand?: boolean;
    }
  | {
      readonly kind: 'nothing';
      readonly error: WorkerError | null;
      readonly mayLand: boolean;
      /** Rows that were marked for it, as they were before. */
      readonly undo?: Changes;
    };

/** Does what the plan says in a store. If it throws, nothing is committed and the claim runs out. */
export type Act<Plan> = (claimed: Claimed<Plan>) => Promise<Acted>;

/** Unsent records of a connection in their order, the newest revision's last, and why others stay unsent. */
export interface Unsent {
  readonly opened: readonly Opened[];
  readonly unopened: readonly WorkerError[];
}

/** Which records are sent; `done` are marked as sent or published with them. */
export interface Chosen {
  readonly send: readonly Opened[];
  readonly done?: readonly Opened[];
}

export type Done =
  /** Somebody else holds the claim, or something of it is not free yet. */
  | { readonly kind: 'busy'; readonly waitMs: number }
  /** Nothing was to be done but to note it down. */
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  | {
      readonly kind: 'committed';
      readonly outcome: Outcome;
      /** Whether events of this connection wait that may be possible now. */
      readonly hasWaiting: boolean;
      /** How many records were published. */
      readonly published: number;
      /** Why they were not; the relay does it. Null: they were. */
      readonly unpublished: WorkerError | null;
    }
  /** Nothing was committed. */
  | { readonly kind: 'left'; readonly error: WorkerError | null }
  /** Somebody else has taken the connection over; nothing was committed. */
  | { readonly kind: 'lost'; readonly error: WorkerError };

interface Sending {
  readonly claim: Claim;
  readonly records: readonly Opened[];
}

/** A commit stands whatever becomes of its records. */
const NOT_PUBLISHED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['BROKER_UNAVAILABLE', 'CLAIM_LOST']);

/**
 * Everything that changes a connection goes through here, in this order and no other: claim → act in the store → commit →
 * publish → mark as sent and release. Everything before the commit can be repeated; what comes after it is found again
 * by a redelivery or the relay. Many connections share the transactions and sends.
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
   * @param act for decisions that write to a store; left out: there are none
   * @param choose default: all that may go out
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
    // A plan comes back as it was decided.
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
      // A request that got no answer may still land, and nobody may write before: the claim runs out.
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

  /** From where nothing is published only a newer revision has to see to the one before it. */
  #withNewest(
    changes: Changes,
    state: LockedState,
  ): ReturnType<typeof withNewest> | { changes: Changes; newest: null } {
    const { outlet, context } = this.#parts;
    if (outlet === null && changes.secured === undefined) return { changes, newest: null };
    return withNewest(changes, state, context);
  }

  /** What was given up may still arrive: where a send fails the claim runs out instead of being released. */
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

  /** Those whose claim has no time left stay behind; their records are sent by whoever claims next. */
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
  throw new TypeError('nothing was said of how to write');
}

/** Those of version 0.1 were judged less: the relay sees to them. */
function allJudged({ opened }: Unsent): Chosen {
  return { send: opened.filter(({ isJudged }) => isJudged) };
}
