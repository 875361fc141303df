import { WorkerError } from '../errors.js';
import type { StoreCall } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { Ledger } from './ledger.js';

/** A monotonic clock in milliseconds; wall clocks jump. */
export type MonotonicClock = () => number;

/**
 * The right to touch one connection: its row, its secrets in a store, its unsent records. `deadlineMs` is by our own
 * monotonic clock and counts from before the transaction that took it was sent, so that it never lies behind the expiry
 * that the database knows, whatever happens to this process in between (SIGSTOP, a long pause).
 */
export interface Claim {
  readonly connectionId: string;
  readonly owner: string;
  readonly epoch: number;
  readonly deadlineMs: number;
}

/** A request may still land this many claim times after its claim ran out. */
export const LATE_REQUEST_CLAIMS = 4;

/** What the transaction before and the marking after a publish may take of a claim. */
const PUBLISH_MARGIN_MS = 2_000;
const SHORTEST_PUBLISH_MS = 1_000;

/**
 * How long one attempt to publish may take, milliseconds: a claim must have room for two, whatever it lasts, or nothing
 * would ever be published under it. At most `longestMs`.
 */
export function publishTimeoutMs(claimMs: number, longestMs: number): number {
  const half = Math.floor((claimMs - PUBLISH_MARGIN_MS) / 2);
  return Math.min(longestMs, Math.max(SHORTEST_PUBLISH_MS, half));
}

/**
 * Throws CLAIM_LOST unless the claim has more time left than a request may take: called before each single request that
 * changes a store or a topic. A request that starts in time ends, or is given up, while nobody else may start one.
 */
export function requireTimeFor(claim: Claim, requestMs: number, nowMs: number): void {
  const leftMs = claim.deadlineMs - nowMs;
  if (leftMs <= requestMs)
    throw new WorkerError(
      'CLAIM_LOST',
      `the claim of connection ${claim.connectionId} has ${Math.max(0, Math.floor(leftMs))} ms left, the request may take ${requestMs} ms`,
    );
}

/** Waits for the write limit. */
interface WriteGate {
  acquire(signal: AbortSignal): Promise<void>;
}

interface ClaimGuardParts {
  /** Each store has a limit of its own. */
  readonly gateOf: (manager: ManagerName) => WriteGate;
  readonly ledger: Pick<Ledger, 'renew'>;
  readonly clock: MonotonicClock;
  /** The longest one request to the store may take, milliseconds. */
  readonly storeTimeoutMs: number;
}

/** A claim that may be replaced by its renewal while its holder works. */
interface ClaimHolder {
  claim: Claim;
}

/** Lets requests to the store start only while their claim has time for them. */
export class ClaimGuard {
  readonly #parts: ClaimGuardParts;

  constructor(parts: ClaimGuardParts) {
    this.#parts = parts;
  }

  /** Each request: its turn under the write limit, then the claim, which is renewed while it is the newest. */
  callFor(holder: ClaimHolder, manager: ManagerName, signal: AbortSignal): StoreCall {
    const { ledger, clock, storeTimeoutMs } = this.#parts;
    return this.#call(manager, signal, async () => {
      if (holder.claim.deadlineMs - clock() <= 2 * storeTimeoutMs)
        holder.claim = (await ledger.renew(holder.claim)) ?? holder.claim;
      requireTimeFor(holder.claim, storeTimeoutMs, clock());
    });
  }

  /**
   * The same under a claim that is not renewed: for work whose marks in the database count from the claim's start, and
   * must not run out while one of its requests can still be sent.
   */
  callWithin(claim: Claim, manager: ManagerName, signal: AbortSignal): StoreCall {
    const { clock, storeTimeoutMs } = this.#parts;
    return this.#call(manager, signal, () => {
      requireTimeFor(claim, storeTimeoutMs, clock());
    });
  }

  #call(manager: ManagerName, signal: AbortSignal, requireTime: () => void | Promise<void>): StoreCall {
    const gate = this.#parts.gateOf(manager);
    return {
      signal,
      admitWrite: async () => {
        await gate.acquire(signal).catch(() => {
          throw new WorkerError('STORE_UNAVAILABLE', 'the write was given up before its turn came');
        });
        await requireTime();
      },
    };
  }
}
