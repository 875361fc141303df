import type { OutgoingRecord } from '../transport.js';

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
