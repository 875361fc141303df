import { type EventCounters, OutcomeCounts } from '../../../observability/event-log.js';
import type { HandledRecord } from '../../../pipeline/observer.js';
import type { RecordOutcome } from '../../../terms.js';

export interface ConnectionOutcomes {
  readonly outcomes: Readonly<Record<string, number>>;
  /** How many values would be written to the store. */
  readonly writes: number;
}

/** The outcomes that change something. */
const CHANGES: ReadonlySet<RecordOutcome> = new Set(['applied', 'refused', 'blocked', 'waiting']);

/** Counts the outcomes of each connection, in addition to the counts of all. */
export class ConnectionCounts implements EventCounters {
  readonly #all: EventCounters;
  readonly #connections = new Map<string, { outcomes: OutcomeCounts; writes: number }>();
  readonly #changed = new Set<string>();

  constructor(all: EventCounters) {
    this.#all = all;
  }

  handled(record: HandledRecord): void {
    this.#all.handled(record);
    const { connectionId, outcome, writes } = record;
    if (connectionId === null) return;
    const counts = this.#connections.get(connectionId) ?? { outcomes: new OutcomeCounts(), writes: 0 };
    counts.outcomes.handled(record);
    counts.writes += writes;
    this.#connections.set(connectionId, counts);
    if (CHANGES.has(outcome)) this.#changed.add(connectionId);
  }

  handedBack(label: string): void {
    this.#all.handedBack(label);
  }

  /** Ids of connections that would change, or get a dead letter or a waiting event. */
  changed(): readonly string[] {
    return [...this.#changed].sort();
  }

  of(connectionId: string): ConnectionOutcomes {
    const counts = this.#connections.get(connectionId);
    const { events: _sum, ...outcomes } = counts?.outcomes.totals() ?? {};
    return { outcomes, writes: counts?.writes ?? 0 };
  }
}
