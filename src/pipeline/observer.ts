import type { ErrorCode, WorkerError } from '../errors.js';
import type { DeadLetterHead } from './ledger.js';
import type { Note } from './notes.js';
import type { RecordOutcome, SourceRecord } from '../terms.js';

/** What is told of one handled record, for the log and the metrics: ids and counts. */
export interface HandledRecord {
  readonly record: Pick<SourceRecord, 'topic' | 'partition' | 'offset'>;
  readonly outcome: RecordOutcome;
  readonly code: ErrorCode | null;
  readonly eventId: string | null;
  readonly eventType: string | null;
  readonly connectionId: string | null;
  readonly secretFields: number;
  /** Values written to the store. */
  readonly writes: number;
  /** Pointers of secrets recognised by name that were left as they are (`SECRET_BY_NAME=report`). */
  readonly reported: readonly string[];
  /** What somebody should look at: pointers only. */
  readonly notes: readonly Note[];
  /** A kept event that was tried again and is what it was: told before. */
  readonly isAgain: boolean;
  readonly durationMs: number;
}

export interface PipelineObserver {
  handled(record: HandledRecord): void;
  /** A record is handed back to its transport, to come again. */
  failed(record: Pick<SourceRecord, 'topic' | 'partition' | 'offset'>, error: unknown): void;
  /** Dead letters that were made, once they are committed: of events, of what waited too long, of secrets that are lost. */
  deadLettersMade?(letters: readonly DeadLetterHead[]): void;
  /** A record is not published: no key opens it, or it says what may not go out. */
  unpublished?(error: WorkerError): void;
  /** The share of the write limit was not renewed; it is tried again. */
  limitUnshared?(error: unknown): void;
}
