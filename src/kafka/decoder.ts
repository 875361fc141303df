import { createRequire } from 'node:module';
import { decodeBatches, isBatches, type Spent } from './record-batches.js';

/** kafkajs's reader of an answer, as far as it is used here. */
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
 * Puts {@link decodeBatches} in the place of kafkajs's own decoder, which has no bounds and no hook for one: a codec
 * is only given what is compressed, and every record becomes an object before anybody is asked. The version of kafkajs
 * is fixed, and a test sees whether this still takes hold. Where it cannot (a bundle), kafkajs decodes itself.
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
      // As brokers before 0.11 have written it.
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
