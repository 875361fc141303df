import { LIMITS } from '../limits.js';
import type { Unread } from '../terms.js';
import { unpack } from './unpack.js';

/** What kafkajs hands on as a record, and what of it was not read. */
export interface DecodedMessage {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  readonly attributes: number;
  readonly magicByte: 2;
  readonly isControlRecord: boolean;
  /** kafkajs leaves out by it what an aborted transaction has written. */
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
  readonly unread?: Unread;
}

/** What one answer of a broker has cost so far. */
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

/** Whether these are batches of Kafka 0.11 or newer, which is all that {@link decodeBatches} reads. */
export const isBatches = (set: Buffer): boolean => set.length > AT.magic && set[AT.magic] === MAGIC;

/**
 * The records of one partition in an answer of a broker. kafkajs's own decoder has no bounds: a batch of a few kilobytes
 * may hold gigabytes, millions of records or of headers. Here a record or a batch over a limit comes as a record without
 * a value that says so ({@link Unread}), at the place of what it stands for; so does a batch that is damaged.
 *
 * Batches that one answer has too many of are left to the next one, as if it ended before them.
 */
export async function decodeBatches(set: Buffer, spent: Spent): Promise<DecodedMessage[]> {
  const messages: DecodedMessage[] = [];
  let at = 0;
  while (set.length - at >= HEADER_BYTES) {
    const end = at + FRAME_BYTES + set.readInt32BE(at + AT.length);
    // The last one may be cut off, and a broker's answer is no place to read from behind.
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
    // What a decoder says may quote what it read.
    return unread(batch, { reason: 'damaged', size: packed.length });
  }
}

/** One in place of all: at the last offset, so that whoever goes on behind it goes on behind the batch. */
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

/** A header can come several times; the last one counts, as with Java's `Headers.lastHeader`. */
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

/** Reads the numbers of variable length, and texts behind them, that records consist of. */
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

  /** A number of things that must still be there. */
  length(): number {
    const length = this.number();
    if (length < 0 || length > this.#buffer.length - this.at) throw new RangeError('damaged length');
    return length;
  }

  /** Null where the length is negative. */
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
