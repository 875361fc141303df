import type { DeadLetterRow } from '../database/rows.js';
import { ConfigurationError, WorkerError, type ErrorCode } from '../errors.js';
import { unpackRecord } from '../events/dead-letter.js';
import { decodeRecord, type Decoded } from '../events/decode.js';
import type { SourceTopics } from '../events/source-topics.js';
import { tokenOf } from '../fernet/index.js';
import type { RecordOutcome, SourceRecord } from '../terms.js';
import type { RecordHandler } from '../transport.js';
import type { MonotonicClock } from './claim.js';
import type { PlanContext, Sealer } from './context.js';
import type { EventProcessor, Processed } from './event-processor.js';
import { Lanes } from './lanes.js';
import type { Ledger } from './ledger.js';
import type { PipelineObserver } from './observer.js';
import { prepareEvent, type PreparedEvent } from './prepare.js';
import { connectionOf, type UndecodableProcessor } from './undecodable.js';

export interface PipelineParts {
  readonly topics: SourceTopics;
  readonly context: PlanContext;
  readonly ledger: Ledger;
  readonly processor: EventProcessor;
  readonly undecodable: UndecodableProcessor;
  readonly observer: PipelineObserver;
  readonly clock: MonotonicClock;
  /** The present, milliseconds since the epoch. */
  readonly now: () => number;
}

/** How many kept events one scan takes up. */
const SCAN_LIMIT = 200;

/**
 * Read this first. One record: decode it (bytes → event), queue it in the lane of its connection, and let the
 * {@link EventProcessor} take it through plan → externalise → persist → publish. What can not be decoded, or is
 * refused, becomes a dead letter; what is passing is thrown back to the transport, to come again.
 */
export class Pipeline implements RecordHandler {
  readonly #parts: PipelineParts;
  readonly #lanes = new Lanes();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  async handle(record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome> {
    const { topics, now, observer } = this.#parts;
    const decoded = decodeRecord(record, topics, now());
    try {
      return await this.#lanes.run(laneOf(decoded, record), () => this.#handle(decoded, record, signal));
    } catch (error) {
      const { topic, partition, offset } = record;
      observer.failed({ topic, partition, offset }, error);
      throw error;
    }
  }

  /**
   * Tries again what waits or heals by itself: what is due, or (at the end of a pipe) all of it, for the last time.
   * Returns how many events it took up.
   */
  async retryKept(signal: AbortSignal, { isEnd = false } = {}): Promise<number> {
    const kept = await this.#parts.ledger.due({ allWaiting: isEnd }, SCAN_LIMIT);
    for (const row of kept) {
      if (signal.aborted) break;
      await this.#lanes
        .run(row.connectionId ?? row.eventHash, () => this.#retry(row, isEnd, signal))
        .catch(ignoreRetryable);
    }
    return kept.length;
  }

  async #handle(decoded: Decoded, record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome> {
    const startedMs = this.#parts.clock();
    switch (decoded.kind) {
      case 'tombstone':
        this.#observe(record, 'tombstone', null, startedMs);
        return 'tombstone';
      case 'undecodable':
        await this.#parts.undecodable.process(decoded, record, this.#parts.now());
        this.#observe(record, 'refused', null, startedMs, decoded);
        return 'refused';
      case 'event': {
        const prepared = prepareEvent(decoded.event, record, this.#parts.context);
        const processed = await this.#process(prepared, startedMs, signal);
        const mayHelp = processed.hasWaiting && processed.outcome === 'applied';
        if (mayHelp) await this.#retryWaiting(prepared.event.connectionId, signal);
        return processed.outcome;
      }
    }
  }

  async #process(prepared: PreparedEvent, startedMs: number, signal: AbortSignal): Promise<Processed> {
    const processed = await this.#parts.processor.process(prepared, signal);
    this.#observe(prepared.record, processed.outcome, prepared, startedMs, undefined, processed);
    return processed;
  }

  /** After a commit: what waited for it, in the events' order; again for as long as one of them was applied. */
  async #retryWaiting(connectionId: string, signal: AbortSignal): Promise<void> {
    try {
      for (let progress = true; progress && !signal.aborted;) {
        progress = false;
        const rows = await this.#parts.ledger.due({ connectionId }, SCAN_LIMIT);
        for (const row of [...rows].sort(byOrder)) {
          const outcome = await this.#retry(row, false, signal);
          progress ||= outcome === 'applied';
        }
      }
    } catch (error) {
      // The event at hand is done; these are kept in the table and found by the scan.
      ignoreRetryable(error);
    }
  }

  async #retry(row: DeadLetterRow, isEnd: boolean, signal: AbortSignal): Promise<RecordOutcome | null> {
    const { context, topics, now, clock } = this.#parts;
    const record = keptRecord(row, context.rings.deadLetter);
    const decoded = decodeRecord(record, topics, now());
    if (decoded.kind !== 'event') return this.#keepUndecodable(row, record, decoded);
    const isOver = row.waitUntilMs !== null && row.waitUntilMs <= now();
    const prepared = prepareEvent(decoded.event, record, context, isEnd || isOver);
    const { outcome } = await this.#process(prepared, clock(), signal);
    if (prepared.eventHash !== row.eventHash) await this.#forget(row);
    return outcome;
  }

  /**
   * It can not be read, or no longer (other topic names, another version). Either way the record stays a dead letter,
   * under the name that its place gives it.
   */
  async #keepUndecodable(row: DeadLetterRow, record: SourceRecord, decoded: Decoded): Promise<null> {
    const { undecodable, now } = this.#parts;
    const keptAs =
      decoded.kind === 'undecodable' ? await undecodable.process(decoded, record, now(), row) : null;
    if (keptAs !== row.eventHash) await this.#forget(row);
    return null;
  }

  /** The row of a record that by now is kept, or settled, under another name. */
  async #forget({ eventHash }: DeadLetterRow): Promise<void> {
    await this.#parts.ledger.append([{ deadLetters: { set: [], removeEventHashes: [eventHash] } }]);
  }

  #observe(
    record: SourceRecord,
    outcome: RecordOutcome,
    prepared: PreparedEvent | null,
    startedMs: number,
    undecodable?: Extract<Decoded, { kind: 'undecodable' }>,
    processed?: Processed,
  ): void {
    const { topic, partition, offset } = record;
    const code: ErrorCode | null = processed?.code ?? undecodable?.error.code ?? null;
    this.#parts.observer.handled({
      record: { topic, partition, offset },
      outcome,
      code,
      eventId: prepared?.event.eventId ?? undecodable?.eventId ?? null,
      eventType: prepared?.event.eventType ?? null,
      connectionId:
        prepared?.event.connectionId ?? (undecodable === undefined ? null : connectionOf(undecodable)),
      secretFields: prepared?.fields?.length ?? 0,
      writes: processed?.writes ?? 0,
      reported: prepared?.reported ?? [],
      durationMs: this.#parts.clock() - startedMs,
    });
  }
}

/** Records that belong to no connection do not wait for each other. */
function laneOf(decoded: Decoded, { topic, partition, offset }: SourceRecord): string {
  const alone = `${topic}/${partition}/${offset}`;
  switch (decoded.kind) {
    case 'event':
      return decoded.event.connectionId;
    case 'undecodable':
      return connectionOf(decoded) ?? alone;
    case 'tombstone':
      return alone;
  }
}

/** The source record of a kept event, byte for byte as it came. Throws KEY_MISMATCH. */
function keptRecord(row: DeadLetterRow, ring: Sealer): SourceRecord {
  try {
    return unpackRecord(Buffer.from(ring.open(tokenOf(row.payload)), 'utf8'));
  } catch {
    throw new ConfigurationError(
      'KEY_MISMATCH',
      `DEAD_LETTER_FERNET_KEY does not open the kept event ${row.eventHash}: add the key it was sealed with to the list`,
    );
  }
}

function ignoreRetryable(error: unknown): void {
  if (!(error instanceof WorkerError && error.retryable)) throw error;
}

function byOrder(left: DeadLetterRow, right: DeadLetterRow): number {
  return (left.eventOrder?.timestampMs ?? 0) - (right.eventOrder?.timestampMs ?? 0);
}
