import type { Logger } from 'pino';
import type { HandledRecord, PipelineObserver } from '../pipeline/observer.js';
import type { SourceRecord } from '../terms.js';
import type { FailureLog } from './failure-log.js';
import { errorLabel } from './safe-error.js';

/** What else is told of every record. */
export interface EventCounters {
  handled(record: HandledRecord): void;
  handedBack(label: string): void;
}

/** Of the fields that `SECRET_BY_NAME=report` leaves, so many are named in a line; the metric counts all. */
const MOST_POINTERS = 20;

/** One line an event: ids, counts, duration, outcome. Dead letters are warnings; what comes again is summarised. */
export class EventLog implements PipelineObserver {
  readonly #logger: Logger;
  readonly #failures: FailureLog;
  readonly #counters: EventCounters;

  constructor(logger: Logger, failures: FailureLog, counters: EventCounters) {
    this.#logger = logger;
    this.#failures = failures;
    this.#counters = counters;
  }

  handled(handled: HandledRecord): void {
    this.#counters.handled(handled);
    const { record, outcome, durationMs, reported, ...rest } = handled;
    const level = outcome === 'refused' || outcome === 'blocked' ? 'warn' : 'info';
    const left = reported.length === 0 ? {} : { leftInTheClear: reported.slice(0, MOST_POINTERS) };
    const line = { outcome, ...rest, ...left, ...record, durationMs: Math.round(durationMs * 10) / 10 };
    this.#logger[level](line, 'event');
  }

  failed(record: Pick<SourceRecord, 'topic' | 'partition' | 'offset'>, error: unknown): void {
    this.#counters.handedBack(errorLabel(error));
    const { topic, partition, offset } = record;
    this.#failures.failed('an event could not be handled yet', error, { topic, partition, offset });
  }
}
