import type { OutboxRow } from '../database/rows.js';
import { WorkerError } from '../errors.js';
import type { Outlet } from '../transport.js';
import { requireTimeFor, type Claim, type MonotonicClock } from './claim.js';
import type { Sealer } from './context.js';
import { Group } from './group.js';
import type { Ledger } from './ledger.js';
import { outgoingRecord } from './outbox.js';

interface PublishItem {
  readonly claim: Claim;
  readonly rows: readonly OutboxRow[];
}

/**
 * Publishes unsent records under the claim, marks them as sent and releases the claim. Records of many connections go in
 * one send; those of one connection in the order of their revisions, so that its last record is its newest.
 */
export class Publisher {
  readonly #outlet: Outlet;
  readonly #ring: Sealer;
  readonly #clock: MonotonicClock;
  readonly #sends: Group<PublishItem, WorkerError | null>;
  readonly #settles: Group<{ claim: Claim; sentIds: readonly string[] }, null>;

  constructor(outlet: Outlet, ledger: Ledger, ring: Sealer, clock: MonotonicClock) {
    this.#outlet = outlet;
    this.#ring = ring;
    this.#clock = clock;
    this.#sends = new Group((items) => this.#send(items));
    this.#settles = new Group(async (items) => {
      await ledger.settle(items);
      return items.map(() => null);
    });
  }

  /**
   * Rejects with a `transient` WorkerError. The claim then runs out instead of being released: a send that was given up
   * may still arrive.
   */
  async publish(claim: Claim, rows: readonly OutboxRow[]): Promise<void> {
    if (rows.length > 0) {
      const failure = await this.#sends.add({ claim, rows });
      if (failure !== null) throw failure;
    }
    await this.release(
      claim,
      rows.map(({ id }) => id),
    );
  }

  /** Gives a claim back. */
  async release(claim: Claim, sentIds: readonly string[] = []): Promise<void> {
    await this.#settles.add({ claim, sentIds });
  }

  /** Those whose claim has no time left stay behind; their records are sent by whoever claims next. */
  async #send(items: readonly PublishItem[]): Promise<(WorkerError | null)[]> {
    const late = items.map(({ claim }) => this.#lateness(claim));
    const records = items
      .filter((_, index) => late[index] === null)
      .flatMap(({ rows }) => rows.map((row) => outgoingRecord(row, this.#ring)));
    if (records.length > 0) await this.#outlet.send(records);
    return late;
  }

  #lateness(claim: Claim): WorkerError | null {
    try {
      requireTimeFor(claim, this.#outlet.requestTimeoutMs, this.#clock());
      return null;
    } catch (error) {
      if (error instanceof WorkerError) return error;
      throw error;
    }
  }
}
