import { WorkerError, type ErrorCode } from '../errors.js';
import { unpackRecord } from '../events/dead-letter.js';
import { decodeRecord, type Decoded, type SourceTopics } from '../events/decode.js';
import { tokenOf } from '../fernet/index.js';
import type { RecordOutcome, SourceRecord } from '../terms.js';
import type { RecordHandler } from '../transport.js';
import { awaitsDecision, keptTimeMs } from './blocking.js';
import type { MonotonicClock } from './claim.js';
import type { PlanContext, Sealer } from './context.js';
import type { EventProcessor, Processed } from './event-processor.js';
import type { Lanes } from './group.js';
import type { DeadLetterHead, Ledger } from './ledger.js';
import { isNotable } from './notes.js';
import type { PipelineObserver } from './observer.js';
import { prepareEvent, type PreparedEvent } from './prepare.js';
import { connectionOf, type UndecodableProcessor } from './undecodable.js';
import { retryAfterMs } from './unprocessed.js';

export interface PipelineParts {
  readonly topics: SourceTopics;
  /** An event whose time is further ahead of the present than this is refused, milliseconds. */
  readonly clockSkewMs: number;
  readonly context: PlanContext;
  readonly ledger: Ledger;
  readonly processor: EventProcessor;
  readonly undecodable: UndecodableProcessor;
  readonly observer: PipelineObserver;
  readonly lanes: Lanes;
  readonly clock: MonotonicClock;
  /** The present, milliseconds since the epoch. */
  readonly now: () => number;
}

/** How many kept events one scan retries at most. */
const SCAN_LIMIT = 200;

/**
 * Read this first. The pipeline decodes a record (bytes → event), queues it in the lane of its connection, and lets the
 * {@link EventProcessor} take it through plan → externalise → persist → publish. A record that cannot be decoded, or
 * that is refused, becomes a dead letter. On a transient failure `handle` rejects, and the transport delivers the record
 * again.
 *
 * A *kept event* is a row of the dead-letter table: a waiting event or a dead letter.
 */
export class Pipeline implements RecordHandler {
  readonly #parts: PipelineParts;
  readonly #lanes: Lanes;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#lanes = parts.lanes;
  }

  async handle(record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome> {
    const { topics, now, clockSkewMs, observer } = this.#parts;
    const decoded = decodeRecord(record, topics, now(), clockSkewMs);
    try {
      return await this.#lanes.run(laneOf(decoded, record), () => this.#handle(decoded, record, signal));
    } catch (error) {
      const { topic, partition, offset } = record;
      observer.failed({ topic, partition, offset }, error);
      throw error;
    }
  }

  /**
   * Retries the kept events whose next attempt is due. At the end of a pipe (`isEnd`) it retries all waiting events, due
   * or not, for the last time. Returns how many events it found.
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

  /** Retries a kept event now, due or not. Null: it is no longer there, or its record cannot be read as an event. */
  retryNow(row: DeadLetterHead, signal: AbortSignal): Promise<RecordOutcome | null> {
    return this.#lanes.run(row.connectionId ?? row.eventHash, () => this.#retry(row, false, signal));
  }

  async #handle(decoded: Decoded, record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome> {
    const startedMs = this.#parts.clock();
    switch (decoded.kind) {
      case 'tombstone':
      case 'ignored':
        this.#observe(record, decoded.kind, null, startedMs);
        return decoded.kind;
      case 'undecodable':
        return this.#refuse(decoded, record, startedMs);
      case 'event': {
        const prepared = prepareEvent(decoded.event, record, this.#parts.context);
        const processed = await this.#process(prepared, startedMs, signal);
        const mayHelp = processed.hasWaiting && processed.outcome === 'applied';
        if (mayHelp) await this.#retryWaiting(prepared.event.connectionId, signal);
        return processed.outcome;
      }
    }
  }

  async #refuse(
    decoded: Extract<Decoded, { kind: 'undecodable' }>,
    record: SourceRecord,
    startedMs: number,
  ): Promise<RecordOutcome> {
    const { undecodable, now } = this.#parts;
    const { outcome } = await undecodable.process(decoded, record, now());
    this.#observe(record, outcome, null, startedMs, decoded);
    return outcome;
  }

  /** @param before its kept row, where this is a retry */
  async #process(
    prepared: PreparedEvent,
    startedMs: number,
    signal: AbortSignal,
    before?: DeadLetterHead,
  ): Promise<Processed> {
    const processed = await this.#parts.processor.process(prepared, signal);
    const isAgain = before !== undefined && isKeptAs(before, processed);
    this.#observe(prepared.record, processed.outcome, prepared, startedMs, undefined, processed, isAgain);
    return processed;
  }

  /** After a commit: retries the connection's waiting events in their order, and starts over while one is applied. */
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
      // The event at hand is done. The waiting events stay in the table, where the next scan finds them.
      ignoreRetryable(error);
    }
  }

  async #retry(row: DeadLetterHead, isEnd: boolean, signal: AbortSignal): Promise<RecordOutcome | null> {
    const { context, ledger, topics, now, clock, clockSkewMs } = this.#parts;
    const payload = await ledger.payloadOf(row.eventHash);
    if (payload === null) return null; // another worker has settled it meanwhile
    const record = openKept(payload, context.rings.deadLetter);
    if (record instanceof WorkerError) return this.#leaveSealed(row, record);
    const decoded = decodeRecord(record, topics, now(), clockSkewMs);
    if (decoded.kind !== 'event') return this.#keepUndecodable(row, record, decoded);
    const isOver = row.waitUntilMs !== null && row.waitUntilMs <= now();
    const prepared = prepareEvent(decoded.event, record, context, {
      isLastTry: isEnd || isOver,
      asNewest: awaitsDecision(row),
      keptAs: row.eventHash,
    });
    const { outcome } = await this.#process(prepared, clock(), signal, row);
    if (prepared.eventHash !== row.eventHash) await this.#forget(row);
    return outcome;
  }

  /**
   * The record was never an event for us, or is none any more (other topic names, another version). An undecodable one
   * stays a dead letter, under the hash that its topic, partition and offset give it.
   */
  async #keepUndecodable(row: DeadLetterHead, record: SourceRecord, decoded: Decoded): Promise<null> {
    const { undecodable, now } = this.#parts;
    const kept =
      decoded.kind === 'undecodable' ? await undecodable.process(decoded, record, now(), row) : null;
    if (kept?.eventHash !== row.eventHash) await this.#forget(row);
    return null;
  }

  /** No key opens the record. The row stays and is retried later, because an operator may add the key again. */
  async #leaveSealed(head: DeadLetterHead, error: WorkerError): Promise<null> {
    const { ledger, now, observer } = this.#parts;
    const nowMs = now();
    const detail =
      head.code === error.code ? head.detail : `${error.message} (it was ${head.code}: ${head.detail})`;
    const update = [
      {
        ...head,
        code: error.code,
        detail,
        attempts: head.attempts + 1,
        nextAttemptAtMs: nowMs + retryAfterMs(head.attempts),
        updatedAtMs: nowMs,
      },
    ];
    await ledger.append([{ deadLetters: { set: [], update, removeEventHashes: [] } }]);
    observer.failed({ topic: head.topic, partition: head.partition, offset: head.position }, error);
    return null;
  }

  /** Removes the row of a record that is now kept, or settled, under another hash. */
  async #forget({ eventHash }: DeadLetterHead): Promise<void> {
    await this.#parts.ledger.append([{ deadLetters: { set: [], removeEventHashes: [eventHash] } }]);
  }

  #observe(
    record: SourceRecord,
    outcome: RecordOutcome,
    prepared: PreparedEvent | null,
    startedMs: number,
    undecodable?: Extract<Decoded, { kind: 'undecodable' }>,
    processed?: Processed,
    isAgain = false,
  ): void {
    const { topic, partition, offset } = record;
    const code: ErrorCode | null =
      processed?.code ?? (outcome === 'refused' ? (undecodable?.error.code ?? null) : null);
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
      notes: (processed?.notes ?? []).filter(isNotable),
      isAgain,
      durationMs: this.#parts.clock() - startedMs,
    });
  }
}

/** A record that belongs to no connection gets a lane of its own, so it waits for no other. */
function laneOf(decoded: Decoded, { topic, partition, offset }: SourceRecord): string {
  const alone = `${topic}/${partition}/${offset}`;
  switch (decoded.kind) {
    case 'event':
      return decoded.event.connectionId;
    case 'undecodable':
      return connectionOf(decoded) ?? alone;
    case 'tombstone':
    case 'ignored':
      return alone;
  }
}

/** The source record of a kept event, byte for byte as it came. KEY_MISSING: no key opens it. */
export function openKept(payload: string, ring: Sealer): SourceRecord | WorkerError {
  try {
    return unpackRecord(Buffer.from(ring.open(tokenOf(payload)), 'utf8'));
  } catch {
    return new WorkerError(
      'KEY_MISSING',
      `no key of DEAD_LETTER_FERNET_KEY opens this kept event: it was sealed with a key that is not in the list any more`,
    );
  }
}

function isKeptAs({ state, code }: DeadLetterHead, processed: Processed): boolean {
  const isKept = state === 'waiting' ? ['waiting'] : ['refused', 'blocked'];
  return code === processed.code && isKept.includes(processed.outcome);
}

function ignoreRetryable(error: unknown): void {
  if (!(error instanceof WorkerError && error.retryable)) throw error;
}

function byOrder(left: DeadLetterHead, right: DeadLetterHead): number {
  return keptTimeMs(left) - keptTimeMs(right);
}
