import type { OutgoingRecord } from '../src/transport.js';

/** Kafka's default for a topic's `max.message.bytes`. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

/**
 * What a batch of one record costs beyond key, value and headers: 61 bytes of batch header, up to 36 of lengths and
 * deltas, ten for each of up to 40 headers.
 * Source: https://kafka.apache.org/documentation/#messageformat
 */
export const RECORD_OVERHEAD_BYTES = 512;

/** Key, value and headers of a record, in bytes. */
export function recordBytes(record: OutgoingRecord): number {
  let bytes = record.value?.length ?? 0;
  if (record.key !== null) bytes += Buffer.byteLength(record.key);
  for (const [name, value] of Object.entries(record.headers)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  return bytes;
}

/** How much one produce request may hold: per stream (a broker measures batches, not records) and altogether. */
export interface RequestLimits {
  batchBytes(record: OutgoingRecord): number;
  readonly requestBytes: number;
}

/**
 * Cuts records into requests that the broker takes, in order. All records of one stream could fall into one batch of
 * one partition, so each stream's share of a request stays below its limit. A record that is too large by itself gets
 * a request of its own.
 */
export function cutIntoRequests(
  records: readonly OutgoingRecord[],
  limits: RequestLimits,
): readonly (readonly OutgoingRecord[])[] {
  const requests: OutgoingRecord[][] = [];
  let current: OutgoingRecord[] = [];
  let total = 0;
  const perStream = new Map<string, number>();
  for (const record of records) {
    const bytes = recordBytes(record) + RECORD_OVERHEAD_BYTES;
    const ofStream = (perStream.get(record.stream) ?? 0) + bytes;
    const full = ofStream > limits.batchBytes(record) || total + bytes > limits.requestBytes;
    if (full && current.length > 0) {
      requests.push(current);
      current = [];
      total = 0;
      perStream.clear();
    }
    current.push(record);
    total += bytes;
    perStream.set(record.stream, (perStream.get(record.stream) ?? 0) + bytes);
  }
  if (current.length > 0) requests.push(current);
  return requests;
}
