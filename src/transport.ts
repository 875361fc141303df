import type { RecordOutcome, SourceRecord } from './terms.js';

/** The two streams that this worker writes. The transport knows their topics. */
export type Stream = 'secured' | 'dead-letter';

export interface OutgoingRecord {
  readonly stream: Stream;
  readonly key: string | null;
  /** Null: a record of headers only. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** The destination of secured events and dead letters. */
export interface Outlet {
  /** The longest time of one `send`, in milliseconds. It is one attempt: only the caller knows if its claim allows another. */
  readonly requestTimeoutMs: number;
  /** The largest record of a stream, in bytes as `byteSize` counts them. */
  maxRecordBytes(stream: Stream): number;
  /**
   * Resolves when every record is durable (Kafka: acknowledged by all in-sync replicas; file: synced), in the given
   * order per key. Rejects with a `transient` WorkerError; some records may have been written then.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
}

/** The entry point of the pipeline: the same for every transport. */
export interface RecordHandler {
  /**
   * Resolves when the record's effects are durable. Call it in the order of a partition's records, without awaiting
   * between them: records of one connection run one after another, different ones at the same time.
   * Rejects with a WorkerError. If that is `retryable`, the caller handles the record again later; else the process ends.
   */
  handle(record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome>;
}

/** A {@link RecordHandler} as a transport sees it: it ignores the outcome. */
export interface RecordSink {
  handle(record: SourceRecord, signal: AbortSignal): Promise<unknown>;
}

const BYTES_A_PLACE = 65_536;

/** How many places a record takes among those in flight: a large one needs more memory. */
export function weightOf(value: Buffer | null): number {
  return 1 + Math.floor((value?.length ?? 0) / BYTES_A_PLACE);
}

/** Overhead of a batch with one record: 61 bytes of batch header, 21 of varints, and some reserve. */
const BATCH_BYTES = 128;
/** The lengths of a header's name and value: two varints of at most five bytes. */
const HEADER_BYTES = 10;

/**
 * The size of a record in a topic in bytes, uncompressed: key, value, headers, and Kafka's overhead (message format v2),
 * rounded up. It is never too low: a record that is not above `Outlet.maxRecordBytes` fits.
 * Source: https://kafka.apache.org/documentation/#messageformat
 */
export function byteSize(record: Pick<OutgoingRecord, 'key' | 'value' | 'headers'>): number {
  let bytes = BATCH_BYTES + (record.value?.length ?? 0);
  if (record.key !== null) bytes += Buffer.byteLength(record.key, 'utf8');
  for (const [name, value] of Object.entries(record.headers)) {
    bytes += HEADER_BYTES + Buffer.byteLength(name, 'utf8') + Buffer.byteLength(value, 'utf8');
  }
  return bytes;
}
