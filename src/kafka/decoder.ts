import { createRequire } from 'node:module';
import { decodeBatches, isBatches, type Spent } from './record-batches.js';

/** kafkajs's reader of a response, as far as we use it. */
interface AnswerReader {
  offset: number;
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
}

type DecodeMessages = (reader: AnswerReader) => Promise<unknown[]>;

const MODULE = 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';
const spentOf = new WeakMap<AnswerReader, Spent>();

/**
 * Replaces kafkajs's decoder by {@link decodeBatches}. kafkajs's own has no limits and no hook for them: a codec sees only
 * the compressed bytes, and every record becomes an object before our code runs. Our version of kafkajs is fixed, and a
 * test checks that the replacement works. In a bundle, where this module cannot be replaced, kafkajs decodes itself.
 */
export function installDecoder(): void {
  const load = createRequire(import.meta.url);
  let path: string;
  let original: unknown;
  try {
    path = load.resolve(MODULE);
    original = load(path);
  } catch {
    return;
  }
  const cached = load.cache[path];
  if (cached === undefined || !isDecoder(original)) return;
  const before = original;
  const decode: DecodeMessages = async (reader) => {
    const start = reader.offset;
    const size = reader.readInt32();
    if (size <= 0 || !reader.canReadBytes(size)) return [];
    const set = reader.readBytes(size);
    if (!isBatches(set)) {
      // The format of brokers before 0.11.
      reader.offset = start;
      return before(reader);
    }
    const spent = spentOf.get(reader) ?? { bytes: 0, records: 0 };
    spentOf.set(reader, spent);
    return decodeBatches(set, spent);
  };
  cached.exports = decode;
}

function isDecoder(value: unknown): value is DecodeMessages {
  return typeof value === 'function';
}
