import { OutcomeCounts, type EventCounters } from '../../observability/event-log.js';
import type { HandledRecord } from '../../pipeline/observer.js';

/** What a replay has done so far, in all of its runs together. */
export interface ReplayTotals {
  /** Events by their final outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** How many values were written to the store. */
  readonly writes: number;
  /** How many records the selection left out. */
  readonly filtered: number;
  /** How many records Kafka deleted before they were read. Replays of version 0.1 have no count. */
  readonly deleted?: number;
}

/** Counts the outcomes of one run, on top of the totals of earlier runs. */
export class ReplayCounts implements EventCounters {
  #before: ReplayTotals = { outcomes: {}, writes: 0, filtered: 0 };
  readonly #outcomes = new OutcomeCounts();
  #writes = 0;
  #filtered = 0;
  #deleted = 0;

  /** Adds the totals of earlier runs of the same replay. */
  continueFrom(before: ReplayTotals): void {
    this.#before = before;
  }

  handled(record: HandledRecord): void {
    this.#outcomes.handled(record);
    this.#writes += record.writes;
  }

  handedBack(): void {
    // The record comes again, so it has no outcome yet.
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
