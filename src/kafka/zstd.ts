import { ZSTDDecoder } from 'zstddec';
import { LIMITS } from '../limits.js';

const FRAME = 0xfd2fb528;
const SKIPPED_FRAMES = 0x184d2a5;
const BLOCK_BYTES = 128 * 1024;
const decoder = new ZSTDDecoder();

/**
 * Decompresses zstd frames (RFC 8878).
 * @returns null if the result would be larger than `maxBytes`
 * @throws RangeError if a frame is damaged or uses a dictionary
 */
export async function unpackZstd(data: Buffer, maxBytes: number = LIMITS.batchBytes): Promise<Buffer | null> {
  const bound = boundOf(data, maxBytes);
  if (bound > maxBytes + BLOCK_BYTES) return null;
  await decoder.init();
  const unpacked = decoder.decode(data, Math.max(1, bound));
  // The library returns nothing on an error. A batch of records is never empty.
  if (unpacked.length === 0) throw damaged();
  return unpacked.length > maxBytes ? null : Buffer.from(unpacked.buffer, 0, unpacked.length);
}

/** The most bytes that the frames can hold, by their block headers. A frame may not declare its content size. */
function boundOf(data: Buffer, enough: number): number {
  let bound = 0;
  let at = 0;
  while (at < data.length && bound <= enough + BLOCK_BYTES) {
    const magic = data.readUInt32LE(at);
    if (magic >>> 4 === SKIPPED_FRAMES) {
      at += 8 + data.readUInt32LE(at + 4);
      continue;
    }
    if (magic !== FRAME) throw damaged();
    const descriptor = data.readUInt8(at + 4);
    const isSingle = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    const sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
    at += 5 + (isSingle ? 0 : 1) + dictionaryBytes + sizeBytes;
    for (let isLast = false; !isLast;) {
      const header = data.readUIntLE(at, 3);
      isLast = (header & 1) === 1;
      const [type, size] = [(header >> 1) & 3, header >> 3];
      // 0: stored; 1: one byte, repeated; 2: compressed, at most a block.
      bound += type === 2 ? BLOCK_BYTES : size;
      at += 3 + (type === 1 ? 1 : size);
    }
    if ((descriptor & 4) !== 0) at += 4;
  }
  return bound;
}

function damaged(): RangeError {
  return new RangeError('damaged zstd frame');
}
