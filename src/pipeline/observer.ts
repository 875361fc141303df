import type { ErrorCode, WorkerError } from '../errors.js';
import type { DeadLetterHead } from './ledger.js';
import type { Note } from './notes.js';
import type { RecordOutcome, SourceRecord } from '../terms.js';

/** What the log and the metrics get to know of one handled record: ids and counts. */
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
  /** What an operator should look at: pointers only. */
  readonly notes: readonly Note[];
  /** A retry whose outcome is the same as before, which was reported then. */
  readonly isAgain: boolean;
  readonly durationMs: number;
}

export interface PipelineObserver {
  handled(record: HandledRecord): void;
  /** Handling a record failed; the transport will deliver it again. */
  failed(record: Pick<SourceRecord, 'topic' | 'partition' | 'offset'>, error: unknown): void;
  /** Dead letters were committed: of refused events, of events that waited too long, of losses. */
  deadLettersMade?(letters: readonly DeadLetterHead[]): void;
  /** A record is not published: no key opens it, or a reference in it must not be published. */
  unpublished?(error: WorkerError): void;
  /** Renewing the share of the write limit failed; it is tried again. */
  limitUnshared?(error: unknown): void;
}
