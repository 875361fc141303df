import type { Outlet } from '../transport.js';
import type { Sealer } from './context.js';
import type { Ledger } from './ledger.js';
import { outgoingRecord } from './outbox.js';
import type { Publisher } from './publisher.js';

/** How many connections one round takes up. */
const ROUND_LIMIT = 200;

/**
 * Publishes what is committed and unsent: what a killed worker left behind, what a broker was not there for. Under each
 * connection's claim, all of its records in their order.
 */
export class Relay {
  readonly #ledger: Ledger;
  readonly #publisher: Publisher;
  readonly #outlet: Outlet;
  readonly #ring: Sealer;

  constructor(ledger: Ledger, publisher: Publisher, outlet: Outlet, ring: Sealer) {
    this.#ledger = ledger;
    this.#publisher = publisher;
    this.#outlet = outlet;
    this.#ring = ring;
  }

  /** One round; returns how many records it published. Rejects with a `transient` WorkerError. */
  async run(signal: AbortSignal): Promise<number> {
    const { connectionIds, rows } = await this.#ledger.unsent(ROUND_LIMIT);
    let published = 0;
    if (rows.length > 0) {
      await this.#outlet.send(rows.map((row) => outgoingRecord(row, this.#ring)));
      await this.#ledger.markSent(rows.map(({ id }) => id));
      published += rows.length;
    }
    for (const connectionId of connectionIds) {
      if (signal.aborted) break;
      published += await this.#publishConnection(connectionId);
    }
    return published;
  }

  async #publishConnection(connectionId: string): Promise<number> {
    const [result] = await this.#ledger.claim<never>([
      {
        connectionId,
        eventHash: null,
        secretIds: () => [],
        decide: ({ hasUnsent }) => ({
          kind: hasUnsent ? 'commit' : 'settle',
          outcome: { name: 'duplicate', code: null },
          changes: {},
        }),
      },
    ]);
    if (result?.kind !== 'committed') return 0;
    await this.#publisher.publish(result.claim, result.unsent);
    return result.unsent.length;
  }
}
