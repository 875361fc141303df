import { LIMITS } from '../limits.js';
import type { Unread } from '../terms.js';
import { unpack } from './unpack.js';

/** A record as kafkajs passes it on, and what of it we could not read. */
interface DecodedMessage {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  readonly attributes: number;
  readonly magicByte: 2;
  readonly isControlRecord: boolean;
  /** By it kafkajs leaves out the records of aborted transactions. */
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
  readonly unread?: Unread;
}

/** The cost of one fetch response so far. */
export interface Spent {
  bytes: number;
  records: number;
}

const HEADER_BYTES = 61;
const FRAME_BYTES = 12;
const MAGIC = 2;
const AT = {
  length: 8,
  magic: 16,
  attributes: 21,
  lastDelta: 23,
  firstTime: 27,
  maxTime: 35,
  producer: 43,
  count: 57,
};
const CODEC = 0x07;
const APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const LONGEST_KEY_KEPT = 1_024;

/** Whether these are batches of Kafka 0.11 or newer: {@link decodeBatches} reads no others. */
export const isBatches = (set: Buffer): boolean => set.length > AT.magic && set[AT.magic] === MAGIC;

/**
 * The records of one partition in a fetch response. kafkajs's own decoder has no limits: a batch of a few kilobytes may
 * hold gigabytes, or millions of records or headers. Here a record over a limit comes without a value and says why
 * ({@link Unread}). A batch that is damaged or over a limit comes as one such record.
 *
 * If a response holds too many batches, the rest is read with the next response, as if this one ended before it.
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */
export async function decodeBatches(set: Buffer, spent: Spent): Promise<DecodedMessage[]> {
  const messages: DecodedMessage[] = [];
  let at = 0;
  while (set.length - at >= HEADER_BYTES) {
    const end = at + FRAME_BYTES + set.readInt32BE(at + AT.length);
    // The broker may cut off the last batch. A length that leads backwards is refused as well.
    if (end > set.length || end <= at + FRAME_BYTES) break;
    if (spent.bytes >= LIMITS.batchBytes || spent.records >= LIMITS.batchRecords) break;
    const batch = await decodeBatch(set.subarray(at, end));
    spent.bytes += batch.bytes;
    spent.records += batch.messages.length;
    for (const message of batch.messages) messages.push(message);
    at = end;
  }
  return messages;
}

interface Decoded {
  readonly messages: readonly DecodedMessage[];
  readonly bytes: number;
}

async function decodeBatch(batch: Buffer): Promise<Decoded> {
  const count = batch.readInt32BE(AT.count);
  if (count <= 0) return { messages: [], bytes: 0 };
  if (count > LIMITS.batchRecords) return unread(batch, { reason: 'batch-records', size: count });
  const packed = batch.subarray(HEADER_BYTES);
  try {
    const type = batch.readInt16BE(AT.attributes) & CODEC;
    const records = type === 0 ? packed : await unpack(type, packed);
    if (records === null) return unread(batch, { reason: 'batch-bytes', size: packed.length });
    return { messages: readRecords(batch, records, count), bytes: type === 0 ? 0 : records.length };
  } catch {
    // The decoder's error is dropped: its text may quote what it has read.
    return unread(batch, { reason: 'damaged', size: packed.length });
  }
}

/** One record in place of the whole batch, at the last offset: a reader goes on behind the batch. */
function unread(batch: Buffer, what: Pick<Unread, 'reason' | 'size'>): Decoded {
  const firstOffset = Number(batch.readBigInt64BE(0));
  const message: DecodedMessage = {
    ...common(batch),
    offset: String(firstOffset + batch.readInt32BE(AT.lastDelta)),
    timestamp: String(batch.readBigInt64BE(AT.maxTime)),
    key: null,
    value: null,
    headers: {},
    unread: { ...what, firstOffset },
  };
  return { messages: [message], bytes: 0 };
}

function common(batch: Buffer) {
  const attributes = batch.readInt16BE(AT.attributes);
  return {
    magicByte: MAGIC,
    attributes: 0,
    isControlRecord: (attributes & CONTROL) !== 0,
    batchContext: {
      producerId: String(batch.readBigInt64BE(AT.producer)),
      inTransaction: (attributes & TRANSACTIONAL) !== 0,
    },
  } as const;
}

function readRecords(batch: Buffer, records: Buffer, count: number): DecodedMessage[] {
  const shared = common(batch);
  const firstOffset = Number(batch.readBigInt64BE(0));
  const firstTime = Number(batch.readBigInt64BE(AT.firstTime));
  const isAppendTime = (batch.readInt16BE(AT.attributes) & APPEND_TIME) !== 0;
  const appended = isAppendTime ? String(batch.readBigInt64BE(AT.maxTime)) : null;
  const messages: DecodedMessage[] = [];
  const cursor = new Cursor(records);
  for (let index = 0; index < count; index += 1) {
    const size = cursor.length();
    const end = cursor.at + size;
    cursor.skip(1);
    const timestamp = appended ?? String(firstTime + cursor.number());
    const offset = firstOffset + cursor.number();
    const place = { ...shared, timestamp, offset: String(offset) };
    const key = cursor.bytes();
    const value = cursor.bytes();
    const headerCount = cursor.length();
    const reason =
      size > LIMITS.recordBytes
        ? 'record-bytes'
        : headerCount > LIMITS.recordHeaders
          ? 'record-headers'
          : null;
    if (reason === null) {
      messages.push({ ...place, key, value, headers: readHeaders(cursor, headerCount) });
      if (cursor.at > end) throw new RangeError('damaged record');
    } else {
      const kept = key !== null && key.length <= LONGEST_KEY_KEPT ? Buffer.from(key) : null;
      const what: Unread = {
        reason,
        size: reason === 'record-bytes' ? size : headerCount,
        firstOffset: offset,
      };
      messages.push({ ...place, key: kept, value: null, headers: {}, unread: what });
    }
    cursor.at = end;
  }
  return messages;
}

/** A header can occur several times; the last one counts, as with Java's `Headers.lastHeader`. */
function readHeaders(cursor: Cursor, count: number): Record<string, Buffer> {
  // No prototype: a header may have any name.
  const headers = Object.create(null) as Record<string, Buffer>;
  for (let index = 0; index < count; index += 1) {
    const name = cursor.bytes()?.toString('utf8') ?? '';
    const value = cursor.bytes();
    if (value !== null) headers[name] = value;
  }
  return headers;
}

/** Reads the parts of a record: varints (zigzag), and bytes with a varint length before them. */
class Cursor {
  at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  number(): number {
    let value = 0;
    let factor = 1;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.#buffer.readUInt8(this.at);
      this.at += 1;
      value += (byte & 0x7f) * factor;
      factor *= 128;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw new RangeError('damaged number');
  }

  /** The number of bytes or headers that follow. There cannot be more of them than bytes. */
  length(): number {
    const length = this.number();
    if (length < 0 || length > this.#buffer.length - this.at) throw new RangeError('damaged length');
    return length;
  }

  /** Null if the length is negative. */
  bytes(): Buffer | null {
    const length = this.number();
    if (length < 0) return null;
    const end = this.at + length;
    if (end > this.#buffer.length) throw new RangeError('damaged length');
    const bytes = this.#buffer.subarray(this.at, end);
    this.at = end;
    return bytes;
  }
}
