import { OutcomeCounts, type EventCounters } from '../../observability/event-log.js';
import type { HandledRecord } from '../../pipeline/observer.js';

/** What a replay has done so far, over all of its runs. */
export interface ReplayTotals {
  /** Events by their final outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Values written to the store. */
  readonly writes: number;
  /** Records left out by a filter. */
  readonly filtered: number;
  /** Offsets whose records Kafka deleted before they were read. Replays of version 0.1 have none. */
  readonly deleted?: number;
}

export const NO_TOTALS: ReplayTotals = { outcomes: {}, writes: 0, filtered: 0 };

/** Counts what becomes of the records of one run, on top of what earlier runs did. */
export class ReplayCounts implements EventCounters {
  #before: ReplayTotals = NO_TOTALS;
  readonly #outcomes = new OutcomeCounts();
  #writes = 0;
  #filtered = 0;
  #deleted = 0;

  /** What an earlier run of the same replay has done counts, too. */
  continueFrom(before: ReplayTotals): void {
    this.#before = before;
  }

  handled(record: HandledRecord): void {
    this.#outcomes.handled(record);
    this.#writes += record.writes;
  }

  handedBack(): void {
    // It comes again: no outcome yet.
  }

  skipped(): void {
    this.#filtered += 1;
  }

  deleted(count: number): void {
    this.#deleted += count;
  }

  totals(): ReplayTotals {
    const { events: _sum, ...now } = this.#outcomes.totals();
    const outcomes: Record<string, number> = { ...this.#before.outcomes };
    for (const [outcome, count] of Object.entries(now)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
    return {
      outcomes,
      writes: this.#before.writes + this.#writes,
      filtered: this.#before.filtered + this.#filtered,
      deleted: (this.#before.deleted ?? 0) + this.#deleted,
    };
  }
}
