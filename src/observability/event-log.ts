import type { Logger } from 'pino';
import { WorkerError, type ErrorCode } from '../errors.js';
import type { DeadLetterHead } from '../pipeline/ledger.js';
import type { HandledRecord, PipelineObserver } from '../pipeline/observer.js';
import type { ManagerName, RecordOutcome, SourcePosition, SourceRecord } from '../terms.js';
import { errorLabel, safeError } from './logger.js';

/** Outcomes that may still change within a run: the event waits, or is tried again. */
const MAY_CHANGE: ReadonlySet<RecordOutcome> = new Set(['waiting', 'refused', 'blocked']);

/** Counts events by their final outcome. If one was handled several times, the last outcome counts. */
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
    // The record comes again: it has no outcome yet.
  }

  /** How many events ended as dead letters. */
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

/** Counts every record, beside the log. */
export interface EventCounters {
  handled(record: HandledRecord): void;
  handedBack(label: string): void;
  deadLetter?(code: ErrorCode): void;
}

/** A line names at most this many of the fields that `SECRET_BY_NAME=report` leaves. The metric counts all. */
const MOST_POINTERS = 20;
/** Characters of a dead letter's id, as the commands show it. */
const SHOWN_ID = 12;

/** Limit of {@link EventLog}'s memory: dead letters without an event would stay in it forever. */
const MOST_LOGGED = 10_000;

/**
 * Writes one line per event: ids, counts, duration, outcome. The line of a dead letter is a warning, written when it is
 * committed; its event then gets no line of its own. Repeated attempts are summarised.
 */
export class EventLog implements PipelineObserver {
  readonly #logger: Logger;
  readonly #failures: FailureLog;
  readonly #counters: EventCounters;
  /** Positions of dead letters that have their line, but not yet their event's outcome. */
  readonly #logged = new Set<string>();

  constructor(logger: Logger, failures: FailureLog, counters: EventCounters) {
    this.#logger = logger;
    this.#failures = failures;
    this.#counters = counters;
  }

  handled(handled: HandledRecord): void {
    this.#counters.handled(handled);
    const { record, outcome, durationMs, reported, notes, isAgain, ...rest } = handled;
    if (isAgain && rest.code !== null) {
      const kept = new WorkerError(rest.code, `the event is still ${outcome}`);
      this.#failures.failed('a kept event failed again', kept, record);
      return;
    }
    const isKept = outcome === 'refused' || outcome === 'blocked';
    if (this.#logged.delete(placeOf(record)) && isKept) return;
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
      this.#logged.add(placeOf({ topic, partition, offset }));
      const [oldest] = this.#logged;
      if (this.#logged.size > MOST_LOGGED && oldest !== undefined) this.#logged.delete(oldest);
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
    this.#failures.failed('the database did not renew the share of the write limit', error);
  }
}

/** The log fields of a dead letter. `dead-letters show` takes the `id`. */
export function deadLetterLine(letter: DeadLetterHead): Readonly<Record<string, unknown>> {
  const { eventHash, code, connectionId, eventId, topic, partition, position: offset, sets } = letter;
  const outcome = code === 'EVENT_BLOCKED' ? 'blocked' : 'refused';
  const about = { connectionId, eventId, secretFields: sets?.length ?? null };
  return { outcome, code, id: eventHash.slice(0, SHOWN_ID), ...about, topic, partition, offset };
}

function placeOf({ topic, partition, offset }: SourcePosition): string {
  return `${topic}/${partition}/${offset}`;
}

/** The notes of an event as fields of its line. */
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
 * Logs repeated failures without a flood. The first of a kind (what failed, and its code) is logged at once; those that
 * follow are counted in one line per minute.
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
   * @param what what failed; part of the kind, so it must have few values
   * @param fields ids and counts for the line of the first failure
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

  /** Logs the counts that are not logged yet. */
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

/** Logs what a round of the janitor did, if it did anything. */
export function logTidied(
  logger: Logger,
  counts: { readonly deleted: number; readonly repaired: number; readonly lost: number },
): void {
  if (counts.deleted + counts.repaired > 0) logger.info(counts, 'stored secrets deleted or repaired');
  if (counts.lost > 0)
    logger.error(
      { lost: counts.lost, code: 'SECRET_VERSION_GONE' },
      'the store no longer has recorded versions: see `dead-letters list --code SECRET_VERSION_GONE` and publish those entities again',
    );
}

/** Logs a change of the secrets manager, and each former manager that cannot be opened. */
export function managerLog(logger: Logger, failures: Pick<FailureLog, 'failed'>) {
  return {
    onManagerChange: (from: ManagerName, to: ManagerName): void =>
      logger.warn({ from, to }, 'the secrets manager was changed: secrets move'),
    onUnopened: (manager: ManagerName, error: WorkerError): void =>
      failures.failed(`secrets in ${manager} are left alone`, error),
  };
}
