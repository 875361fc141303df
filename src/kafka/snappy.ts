import { createRequire } from 'node:module';
import { LIMITS } from '../limits.js';

/** Java's producers frame snappy blocks (xerial): magic, version, compatible version, then the blocks. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const LENGTH_BYTES = 4;

interface SnappyJs {
  uncompress(input: Buffer, maxLength?: number): Buffer;
}

function isSnappyJs(module: unknown): module is SnappyJs {
  return typeof module === 'object' && module !== null && 'uncompress' in module;
}

// The package has no types.
function loadSnappyJs(): SnappyJs {
  const module: unknown = createRequire(import.meta.url)('snappyjs');
  if (!isSnappyJs(module)) throw new TypeError('snappyjs has no uncompress');
  return module;
}

const snappy = loadSnappyJs();

/**
 * Decompresses snappy, framed (Java) or raw (librdkafka).
 * @returns null if the result would be larger than `maxBytes`
 * @throws an error of any class if the data is damaged
 */
export function unpackSnappy(data: Buffer, maxBytes: number = LIMITS.batchBytes): Buffer | null {
  const isFramed = data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC);
  const blocks = isFramed ? blocksOf(data) : [data];
  let size = 0;
  for (const block of blocks) size += sizeOf(block);
  if (size > maxBytes) return null;
  return Buffer.concat(blocks.map((block) => snappy.uncompress(block, maxBytes)));
}

function blocksOf(framed: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  let at = XERIAL_HEADER_BYTES;
  while (at + LENGTH_BYTES <= framed.length) {
    const end = at + LENGTH_BYTES + framed.readUInt32BE(at);
    blocks.push(framed.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  return blocks;
}

/** The decompressed size that a block declares: a varint at its start. */
function sizeOf(block: Buffer): number {
  let size = 0;
  for (let at = 0; at < 5; at += 1) {
    const byte = block.readUInt8(at);
    size += (byte & 0x7f) * 128 ** at;
    if (byte < 0x80) return size;
  }
  throw new RangeError('damaged snappy block');
}
