import type { Logger } from 'pino';
import { WorkerError, type ErrorCode } from '../errors.js';
import type { DeadLetterHead } from '../pipeline/ledger.js';
import type { HandledRecord, PipelineObserver } from '../pipeline/observer.js';
import type { RecordOutcome, SourcePosition, SourceRecord } from '../terms.js';
import { errorLabel, safeError } from './logger.js';

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
      this.#failures.failed('a kept event failed again', kept, record);
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

const DEFAULT_EVERY_MS = 60_000;

interface Repeated {
  count: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Repeated failures without a flood: the first of its kind (what failed, and its code) is logged at once, what follows
 * as one line a minute with the count.
 */
export class FailureLog {
  readonly #logger: Logger;
  readonly #everyMs: number;
  readonly #repeated = new Map<string, Repeated>();

  constructor(logger: Logger, everyMs: number = DEFAULT_EVERY_MS) {
    this.#logger = logger;
    this.#everyMs = everyMs;
  }

  /**
   * @param what what failed, as words: part of the kind, so of few values
   * @param fields of the first one's line: ids and counts
   */
  failed(what: string, error: unknown, fields: Readonly<Record<string, string | number>> = {}): void {
    const code = errorLabel(error);
    const key = `${what}\n${code}`;
    const known = this.#repeated.get(key);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    this.#logger.warn({ ...fields, code, error: safeError(error) }, what);
    this.#watch(key, what, code);
  }

  /** Writes what is counted and not told yet. */
  close(): void {
    for (const [key, { count, timer }] of this.#repeated) {
      clearTimeout(timer);
      this.#summarise(key, count);
    }
    this.#repeated.clear();
  }

  #watch(key: string, what: string, code: string): void {
    const timer = setTimeout(() => {
      const count = this.#repeated.get(key)?.count ?? 0;
      this.#repeated.delete(key);
      if (count === 0) return;
      this.#summarise(key, count);
      this.#watch(key, what, code);
    }, this.#everyMs);
    timer.unref();
    this.#repeated.set(key, { count: 0, timer });
  }

  #summarise(key: string, count: number): void {
    if (count === 0) return;
    const [what = '', code = ''] = key.split('\n');
    this.#logger.warn({ code, count, withinMs: this.#everyMs }, `${what}, again`);
  }
}

/** Says what a round of the janitor did; nothing where it did nothing. */
export function logTidied(
  logger: Logger,
  counts: { readonly deleted: number; readonly repaired: number; readonly lost: number },
): void {
  if (counts.deleted + counts.repaired > 0) logger.info(counts, 'stored secrets looked after');
  if (counts.lost > 0)
    logger.error(
      { lost: counts.lost, code: 'SECRET_VERSION_GONE' },
      'the store has lost recorded versions: see `dead-letters list --code SECRET_VERSION_GONE`, publish those entities again',
    );
}
