import { createRequire } from 'node:module';
import kafkajs, { CompressionTypes } from 'kafkajs';

const snappy = createRequire(import.meta.url)('snappyjs') as { compress(input: Buffer): Buffer };

const isRun = (bytes: Buffer): boolean => bytes.length > 16 && bytes.every((byte) => byte === bytes[0]);

function chunks(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

/** A zstd frame of stored blocks, and of blocks of one repeated byte: four bytes for 128 KiB. */
export function packZstd(bytes: Buffer): Buffer {
  const blocks = chunks(bytes, 128 * 1024).map((chunk, at, all) => {
    const header = Buffer.alloc(3);
    const isLast = at === all.length - 1 ? 1 : 0;
    const run = isRun(chunk);
    header.writeUIntLE(isLast | ((run ? 1 : 0) << 1) | (chunk.length << 3), 0, 3);
    return Buffer.concat([header, run ? chunk.subarray(0, 1) : chunk]);
  });
  // The header says: a window of 8 MiB, and no content size.
  return Buffer.concat([Buffer.from('28b52ffd0068', 'hex'), ...blocks]);
}

/** An LZ4 frame of stored blocks, and of blocks of one repeated byte. */
export function packLz4(bytes: Buffer): Buffer {
  const blocks = chunks(bytes, 0x10000).map((chunk) => {
    const run = isRun(chunk);
    const body = run ? lz4Run(chunk) : chunk;
    const header = Buffer.alloc(4);
    header.writeUInt32LE((run ? 0 : 0x80000000) + body.length);
    return Buffer.concat([header, body]);
  });
  return Buffer.concat([Buffer.from('04224d18604082', 'hex'), ...blocks, Buffer.alloc(4)]);
}

function lz4Run(chunk: Buffer): Buffer {
  const byte = chunk.subarray(0, 1);
  const more = chunk.length - 1 - 5 - 4 - 15;
  const lengths = [...Array<number>(Math.floor(more / 255)).fill(255), more % 255];
  const first = Buffer.concat([Buffer.from([0x1f]), byte, Buffer.from([1, 0]), Buffer.from(lengths)]);
  return Buffer.concat([first, Buffer.from([0x50]), Buffer.alloc(5, byte)]);
}

/** Teaches kafkajs's producer all codecs: by itself it writes gzip only. */
export function writeAllCodecs(): void {
  const codecs = kafkajs.CompressionCodecs as Record<number, unknown>;
  const codec = (pack: (bytes: Buffer) => Buffer) => () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => Promise.resolve(pack(buffer)),
    decompress: () => Promise.reject(new Error('not with this codec')),
  });
  codecs[CompressionTypes.Snappy] = codec((bytes) => snappy.compress(bytes));
  codecs[CompressionTypes.LZ4] = codec(packLz4);
  codecs[CompressionTypes.ZSTD] = codec(packZstd);
}
