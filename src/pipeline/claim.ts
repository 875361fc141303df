import { WorkerError } from '../errors.js';
import type { StoreCall } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { Ledger } from './ledger.js';

/** A monotonic clock in milliseconds; wall clocks jump. */
export type MonotonicClock = () => number;

/**
 * A lease on one connection: on its row, its secrets in a store and its unsent records. `deadlineMs` is a time of our
 * monotonic clock. It counts from before the claiming transaction was sent, so it is never later than the expiry in the
 * database, whatever stops this process in between (SIGSTOP, a long pause).
 */
export interface Claim {
  readonly connectionId: string;
  readonly owner: string;
  readonly epoch: number;
  readonly deadlineMs: number;
}

/** A request may still reach the store this many claim durations after its claim expired. */
export const LATE_REQUEST_CLAIMS = 4;

/** The part of a claim that is set aside for the transaction before a publish and the marking after it. */
const PUBLISH_MARGIN_MS = 2_000;
const SHORTEST_PUBLISH_MS = 1_000;

/**
 * How long one attempt to publish may take, milliseconds; at most `longestMs`. A claim must have room for two attempts,
 * however short it is, or nothing would ever be published under it.
 */
export function publishTimeoutMs(claimMs: number, longestMs: number): number {
  const half = Math.floor((claimMs - PUBLISH_MARGIN_MS) / 2);
  return Math.min(longestMs, Math.max(SHORTEST_PUBLISH_MS, half));
}

/**
 * Throws CLAIM_LOST unless the claim has more time left than the request may take. Called before each request that changes
 * a store or a topic: a request that starts in time ends, or is given up, before anybody else may start one.
 */
export function requireTimeFor(claim: Claim, requestMs: number, nowMs: number): void {
  const leftMs = claim.deadlineMs - nowMs;
  if (leftMs <= requestMs)
    throw new WorkerError(
      'CLAIM_LOST',
      `the claim of connection ${claim.connectionId} has ${Math.max(0, Math.floor(leftMs))} ms left, the request may take ${requestMs} ms`,
    );
}

/** Makes writes wait for their turn under the write limit. */
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

/** Holds a claim, which a renewal replaces while the work goes on. */
interface ClaimHolder {
  claim: Claim;
}

/** Starts a request to the store only if its claim has time for it. */
export class ClaimGuard {
  readonly #parts: ClaimGuardParts;

  constructor(parts: ClaimGuardParts) {
    this.#parts = parts;
  }

  /** Each request waits for its turn under the write limit, then renews the claim if its end is near, then checks it. */
  callFor(holder: ClaimHolder, manager: ManagerName, signal: AbortSignal): StoreCall {
    const { ledger, clock, storeTimeoutMs } = this.#parts;
    return this.#call(manager, signal, async () => {
      if (holder.claim.deadlineMs - clock() <= 2 * storeTimeoutMs)
        holder.claim = (await ledger.renew(holder.claim)) ?? holder.claim;
      requireTimeFor(holder.claim, storeTimeoutMs, clock());
    });
  }

  /**
   * Like {@link callFor}, but never renews the claim. For work whose marks in the database count from the claim's start:
   * they must not expire while one of its requests can still be sent.
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
