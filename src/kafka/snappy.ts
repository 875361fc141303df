import { createRequire } from 'node:module';

/** Java's producers frame snappy blocks like this (xerial): magic, version, compatible version, then blocks. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const LENGTH_BYTES = 4;
/** A batch that claims to be larger once decompressed is not believed: memory is all it would cost. */
export const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024;

interface SnappyJs {
  compress(input: Buffer): Buffer;
  uncompress(input: Buffer, maxLength?: number): Buffer;
}

function isSnappyJs(module: unknown): module is SnappyJs {
  return typeof module === 'object' && module !== null && 'compress' in module && 'uncompress' in module;
}

// The package has no types of its own.
function loadSnappyJs(): SnappyJs {
  const module: unknown = createRequire(import.meta.url)('snappyjs');
  if (!isSnappyJs(module)) throw new TypeError('snappyjs has no compress and uncompress');
  return module;
}

function uncompressBlocks(snappy: SnappyJs, framed: Buffer): Buffer {
  const blocks: Buffer[] = [];
  let left = MAX_DECOMPRESSED_BYTES;
  let at = XERIAL_HEADER_BYTES;
  while (at + LENGTH_BYTES <= framed.length) {
    const length = framed.readUInt32BE(at);
    at += LENGTH_BYTES;
    const block = snappy.uncompress(framed.subarray(at, at + length), left);
    left -= block.length;
    blocks.push(block);
    at += length;
  }
  return Buffer.concat(blocks);
}

/** A kafkajs codec for snappy, framed (Java) or raw (librdkafka). */
export function createSnappyCodec(): {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
} {
  const snappy = loadSnappyJs();
  return {
    compress: async ({ buffer }) => Promise.resolve(snappy.compress(buffer)),
    decompress: async (buffer) => {
      const framed = buffer.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC);
      return Promise.resolve(
        framed ? uncompressBlocks(snappy, buffer) : snappy.uncompress(buffer, MAX_DECOMPRESSED_BYTES),
      );
    },
  };
}
