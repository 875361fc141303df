import { WorkerError } from '../errors.js';
import type { StoreCall } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import { requireTimeFor, type Claim, type MonotonicClock } from './claim.js';
import type { Ledger } from './ledger.js';

/** Waits for the write limit. */
export interface WriteGate {
  acquire(signal: AbortSignal): Promise<void>;
}

export interface ClaimGuardParts {
  /** Each store has a limit of its own. */
  readonly gateOf: (manager: ManagerName) => WriteGate;
  readonly ledger: Pick<Ledger, 'renew'>;
  readonly clock: MonotonicClock;
  /** The longest one request to the store may take, milliseconds. */
  readonly storeTimeoutMs: number;
}

/** A claim that may be replaced by its renewal while its holder works. */
export interface ClaimHolder {
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
