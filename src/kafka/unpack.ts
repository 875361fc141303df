import { promisify } from 'node:util';
import { unzip } from 'node:zlib';
import { LIMITS } from '../limits.js';
import { unpackLz4 } from './lz4.js';
import { unpackSnappy } from './snappy.js';
import { unpackZstd } from './zstd.js';

const unzipped = promisify(unzip);

/** Codec numbers in the attributes of a batch. Source: https://kafka.apache.org/documentation/#recordbatch */
export const CODEC = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

/** The codecs that we read, as in Kafka's `compression.type`. */
export const READ_CODECS = Object.keys(CODEC);

/**
 * Decompresses the records of a batch.
 * @param type codec number in the attributes of the batch
 * @returns null if the result would be larger than `maxBytes`
 * @throws an error of any class if the data is damaged or the codec unknown
 */
export async function unpack(
  type: number,
  data: Buffer,
  maxBytes: number = LIMITS.batchBytes,
): Promise<Buffer | null> {
  switch (type) {
    case CODEC.gzip:
      return unpackGzip(data, maxBytes);
    case CODEC.snappy:
      return unpackSnappy(data, maxBytes);
    case CODEC.lz4:
      return unpackLz4(data, maxBytes);
    case CODEC.zstd:
      return unpackZstd(data, maxBytes);
    default:
      throw new RangeError('unknown compression');
  }
}

async function unpackGzip(data: Buffer, maxBytes: number): Promise<Buffer | null> {
  try {
    return await unzipped(data, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw error;
  }
}
