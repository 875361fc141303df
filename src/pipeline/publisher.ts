import type { OutboxRow } from '../database/rows.js';
import { WorkerError } from '../errors.js';
import type { Outlet } from '../transport.js';
import { requireTimeFor, type Claim, type MonotonicClock } from './claim.js';
import type { Sealer } from './context.js';
import { Group, type GroupOptions } from './group.js';
import type { Ledger } from './ledger.js';
import { openOutgoing, type Opened } from './outbox.js';

interface PublishItem {
  readonly claim: Claim;
  readonly rows: readonly Opened[];
}

/**
 * Publishes unsent records under the claim, marks them as sent and releases the claim. Records of many connections go in
 * one send; those of one connection in the order of their revisions, so that its last record is its newest.
 */
export class Publisher {
  readonly #outlet: Outlet;
  readonly #ring: Sealer;
  readonly #onUnpublished: (error: WorkerError) => void;
  readonly #clock: MonotonicClock;
  readonly #sends: Group<PublishItem, WorkerError | null>;
  readonly #settles: Group<{ claim: Claim; sentIds: readonly string[] }, null>;

  constructor(
    outlet: Outlet,
    ledger: Ledger,
    ring: Sealer,
    clock: MonotonicClock,
    onUnpublished: (error: WorkerError) => void = () => undefined,
    groups: GroupOptions = {},
  ) {
    this.#outlet = outlet;
    this.#ring = ring;
    this.#onUnpublished = onUnpublished;
    this.#clock = clock;
    this.#sends = new Group((items) => this.#send(items), groups);
    this.#settles = new Group(async (items) => {
      await ledger.settle(items);
      return items.map(() => null);
    }, groups);
  }

  /**
   * Rejects with a `transient` WorkerError. The claim then runs out instead of being released: a send that was given up
   * may still arrive. What no key opens stays unsent and holds nothing back: readers take the newest revision.
   *
   * @returns how many records it published
   */
  async publish(claim: Claim, rows: readonly OutboxRow[]): Promise<number> {
    const opened = openOutgoing(rows, this.#ring, this.#onUnpublished);
    return this.publishOpened(
      claim,
      opened.filter(({ isJudged }) => isJudged),
    );
  }

  /** @param done further records that count as sent from then on */
  async publishOpened(
    claim: Claim,
    opened: readonly Opened[],
    done: readonly Opened[] = [],
  ): Promise<number> {
    if (opened.length > 0) {
      const failure = await this.#sends.add({ claim, rows: opened });
      if (failure !== null) throw failure;
    }
    await this.release(
      claim,
      [...opened, ...done].map(({ id }) => id),
    );
    return opened.length;
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
      .flatMap(({ rows }) => rows.map(({ record }) => record));
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
