import type { RecordOutcome, SourceRecord } from './terms.js';

/** The two streams this worker writes; the transport knows their topic names. */
export type Stream = 'secured' | 'dead-letter';

export interface OutgoingRecord {
  readonly stream: Stream;
  readonly key: string | null;
  /** Null: a record of headers only. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where secured events and dead letters go. */
export interface Outlet {
  /** The longest one `send` may take, in milliseconds: it makes one attempt, the caller's claim allows the next. */
  readonly requestTimeoutMs: number;
  /** The largest record a stream takes, in bytes as `byteSize` counts them. */
  maxRecordBytes(stream: Stream): number;
  /**
   * Resolves when every record is durable (Kafka: acknowledged by all in-sync replicas; file: synced), in the given
   * order per key. Rejects with a `transient` WorkerError; some records may have been written then.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
}

/** The one entrance of the pipeline: one handler for every transport. */
export interface RecordHandler {
  /**
   * Resolves when the record's effects are durable. Call it in the order of a partition's records, without awaiting
   * between them: records of one connection run one after another, different ones at the same time.
   * Rejects with a WorkerError: `retryable` → the same record is to be handled again later; otherwise the process ends.
   */
  handle(record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome>;
}

/** A {@link RecordHandler} as a transport calls it: it does not look at what became of a record. */
export interface RecordSink {
  handle(record: SourceRecord, signal: AbortSignal): Promise<unknown>;
}

const BYTES_A_PLACE = 65_536;

/** How many places a record takes among those under way: what is made of a large one takes memory for as long. */
export function weightOf(value: Buffer | null): number {
  return 1 + Math.floor((value?.length ?? 0) / BYTES_A_PLACE);
}

/** Frame of a record batch with one record: 61 bytes of batch header, 21 of varints, and something to spare. */
const BATCH_BYTES = 128;
/** The two lengths before a header's name and value, as varints of at most five bytes. */
const HEADER_BYTES = 10;

/**
 * What a record takes in a topic, in bytes, uncompressed: key, value, header names and values, and the frame that Kafka
 * puts around them (message format v2), rounded up. Never less: what is
 * not above `Outlet.maxRecordBytes` fits. Source: https://kafka.apache.org/documentation/#messageformat
 */
export function byteSize(record: Pick<OutgoingRecord, 'key' | 'value' | 'headers'>): number {
  let bytes = BATCH_BYTES + (record.value?.length ?? 0);
  if (record.key !== null) bytes += Buffer.byteLength(record.key, 'utf8');
  for (const [name, value] of Object.entries(record.headers)) {
    bytes += HEADER_BYTES + Buffer.byteLength(name, 'utf8') + Buffer.byteLength(value, 'utf8');
  }
  return bytes;
}
