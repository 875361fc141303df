import type { EventCounters } from './event-log.js';
import type { HandledRecord } from '../pipeline/observer.js';
import type { RecordOutcome } from '../terms.js';

/** What may still become something else within a run: an event that waits, or one that heals by itself. */
const MAY_CHANGE: ReadonlySet<RecordOutcome> = new Set(['waiting', 'refused', 'blocked']);

/** Events by their final outcome: of one that was handled several times the last one counts. */
export class OutcomeCounts implements EventCounters {
  readonly #final = new Map<RecordOutcome, number>();
  readonly #open = new Map<string, RecordOutcome>();

  handled({ record, eventId, outcome }: HandledRecord): void {
    const key = JSON.stringify([eventId, record.topic, record.partition, record.offset]);
    if (MAY_CHANGE.has(outcome)) {
      this.#open.set(key, outcome);
      return;
    }
    this.#open.delete(key);
    this.#final.set(outcome, (this.#final.get(outcome) ?? 0) + 1);
  }

  handedBack(): void {
    // It comes again: no outcome yet.
  }

  /** How many ended as dead letters. */
  get deadLetters(): number {
    return [...this.#open.values()].filter((outcome) => outcome !== 'waiting').length;
  }

  totals(): Readonly<Record<string, number>> {
    const totals = new Map(this.#final);
    for (const outcome of this.#open.values()) totals.set(outcome, (totals.get(outcome) ?? 0) + 1);
    const events = [...totals.values()].reduce((sum, count) => sum + count, 0);
    return { events, ...Object.fromEntries(totals) };
  }
}
