import type { Logger } from 'pino';
import { WorkerError, type ErrorCode } from '../errors.js';
import type { DeadLetterHead } from '../pipeline/ledger.js';
import type { HandledRecord, PipelineObserver } from '../pipeline/observer.js';
import type { SourcePosition, SourceRecord } from '../terms.js';
import type { FailureLog } from './failure-log.js';
import { errorLabel } from './safe-error.js';

/** What else is told of every record. */
export interface EventCounters {
  handled(record: HandledRecord): void;
  handedBack(label: string): void;
  deadLetter?(code: ErrorCode): void;
}

/** Of the fields that `SECRET_BY_NAME=report` leaves, so many are named in a line; the metric counts all. */
const MOST_POINTERS = 20;
/** Characters of a dead letter's id, as the commands show it. */
const SHOWN_ID = 12;

/** Dead letters whose event is still to be told; of those that belong to none nobody takes them out. */
const MOST_TOLD = 10_000;

/**
 * One line an event: ids, counts, duration, outcome. That of a dead letter is a warning, written when it is committed: what
 * becomes of its event afterwards (the broker is away) makes no other one. What comes again is summarised.
 */
export class EventLog implements PipelineObserver {
  readonly #logger: Logger;
  readonly #failures: FailureLog;
  readonly #counters: EventCounters;
  /** Places of dead letters that have their line. */
  readonly #told = new Set<string>();

  constructor(logger: Logger, failures: FailureLog, counters: EventCounters) {
    this.#logger = logger;
    this.#failures = failures;
    this.#counters = counters;
  }

  handled(handled: HandledRecord): void {
    this.#counters.handled(handled);
    const { record, outcome, durationMs, reported, notes, isAgain, ...rest } = handled;
    if (isAgain && rest.code !== null) {
      const kept = new WorkerError(rest.code, `the event is ${outcome} as before`);
      this.#failures.failed('a kept event was tried again in vain', kept, record);
      return;
    }
    const isKept = outcome === 'refused' || outcome === 'blocked';
    if (this.#told.delete(placeOf(record)) && isKept) return;
    const isWarning = isKept || notes.length > 0;
    const level = isWarning ? 'warn' : 'info';
    const left = reported.length === 0 ? {} : { leftInTheClear: reported.slice(0, MOST_POINTERS) };
    const line = {
      outcome,
      ...rest,
      ...left,
      ...notices(notes),
      ...record,
      durationMs: Math.round(durationMs * 10) / 10,
    };
    this.#logger[level](line, 'event');
  }

  deadLettersMade(letters: readonly DeadLetterHead[]): void {
    for (const letter of letters) {
      this.#counters.deadLetter?.(letter.code);
      this.#logger.warn(deadLetterLine(letter), 'dead letter');
      const { topic, partition, position: offset } = letter;
      this.#told.add(placeOf({ topic, partition, offset }));
      const [oldest] = this.#told;
      if (this.#told.size > MOST_TOLD && oldest !== undefined) this.#told.delete(oldest);
    }
  }

  failed(record: Pick<SourceRecord, 'topic' | 'partition' | 'offset'>, error: unknown): void {
    this.#counters.handedBack(errorLabel(error));
    const { topic, partition, offset } = record;
    this.#failures.failed('an event could not be handled yet', error, { topic, partition, offset });
  }

  unpublished(error: WorkerError): void {
    this.#counters.handedBack(errorLabel(error));
    this.#failures.failed('a record cannot be published', error);
  }

  limitUnshared(error: unknown): void {
    this.#failures.failed('the share of the write limit is not renewed', error);
  }
}

/** What a log says of a dead letter; `id` is what `dead-letters show` takes. */
export function deadLetterLine(letter: DeadLetterHead): Readonly<Record<string, unknown>> {
  const { eventHash, code, connectionId, eventId, topic, partition, position: offset, sets } = letter;
  const outcome = code === 'EVENT_BLOCKED' ? 'blocked' : 'refused';
  const about = { connectionId, eventId, secretFields: sets?.length ?? null };
  return { outcome, code, id: eventHash.slice(0, SHOWN_ID), ...about, topic, partition, offset };
}

function placeOf({ topic, partition, offset }: SourcePosition): string {
  return `${topic}/${partition}/${offset}`;
}

/** As fields of the line: what it is, and where. */
function notices(notes: HandledRecord['notes']): Record<string, readonly string[]> {
  const line: Record<string, readonly string[]> = {};
  for (const { action, fields } of notes) {
    if (fields === null) continue;
    const plain = fields.plain.slice(0, MOST_POINTERS);
    if (action === 'quoted') {
      line['quoted'] = [...(line['quoted'] ?? []), ...plain];
    } else {
      line['newEndpoint'] = plain;
      line['maskedOnNewEndpoint'] = fields.secret.slice(0, MOST_POINTERS);
    }
  }
  return line;
}
