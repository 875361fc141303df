import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CODEC, unpack } from '../../../src/kafka/unpack.js';
import { packLz4, packZstd } from '../../harness/codecs.js';

const TEXT = Buffer.from('connection '.repeat(500));
const LONG = Buffer.from('connection '.repeat(20_000));
const { gzip: GZIP, snappy: Snappy, lz4: LZ4, zstd: ZSTD } = CODEC;
const snappy = createRequire(import.meta.url)('snappyjs') as { compress(input: Buffer): Buffer };

/** As Java's producers frame snappy. */
function framed(blocks: readonly Buffer[]): Buffer {
  const parts = blocks.flatMap((block) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  });
  return Buffer.concat([Buffer.from('82534e41505059000000000100000001', 'hex'), ...parts]);
}

/** Made by liblz4 and libzstd: python-lz4 4 and python-zstandard. */
const LZ4_FRAME =
  '04224d1868407c15000000000000ff2a000000bf636f6e6e656374696f6e200b00ffffffffffffffffffffffffffffffffffffffffff6e5074696f6e2000000000';
const ZSTD_LEVEL_22 = '28b52ffd607c149d000058636f6e6e656374696f6e2001006ee5be7801';
const ZSTD_STREAMED = '28b52ffd04589d000058636f6e6e656374696f6e2001006ee5be78019b3bccbb';
const ZSTD_TWO_FRAMES =
  '28b52ffd60d00695000058636f6e6e656374696f6e200100c2fb2f5e28b52ffd60ac0c950000586e20636f6e6e656374696f01009eb55fbc';

/** Of long texts each block but the first begins with a copy from the one before. */
const LZ4_LINKED =
  'BCJNGFxAYFsDAAAAAACzFQEAAL9jb25uZWN0aW9uIAsA/////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////91QZWN0aW+p7+eeCgEAAA/3///////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////oUG5uZWN0fBuYOwoBAAAPCwD/////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////6FBjb25uZS+asB1lAAAAD/f//////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////6NQdGlvbiDDIInFAAAAABnOUWI=';

describe('unpack', () => {
  it.each<[string, number, Buffer, Buffer]>([
    ['gzip', GZIP, gzipSync(TEXT), TEXT],
    ['snappy', Snappy, snappy.compress(TEXT), TEXT],
    [
      'snappy in frames',
      Snappy,
      framed([snappy.compress(LONG.subarray(0, 9)), snappy.compress(LONG.subarray(9))]),
      LONG,
    ],
    ['lz4', LZ4, Buffer.from(LZ4_FRAME, 'hex'), TEXT],
    ['lz4, stored', LZ4, packLz4(TEXT), TEXT],
    ['lz4, a run', LZ4, packLz4(Buffer.alloc(9_000_000, 7)), Buffer.alloc(9_000_000, 7)],
    ['lz4 of blocks that refer back, with checksums and size', LZ4, Buffer.from(LZ4_LINKED, 'base64'), LONG],
    ['zstd of level 22', ZSTD, Buffer.from(ZSTD_LEVEL_22, 'hex'), TEXT],
    ['zstd, streamed, with a checksum', ZSTD, Buffer.from(ZSTD_STREAMED, 'hex'), TEXT],
    ['zstd in two frames', ZSTD, Buffer.from(ZSTD_TWO_FRAMES, 'hex'), TEXT],
    ['zstd, a run', ZSTD, packZstd(Buffer.alloc(9_000_000, 7)), Buffer.alloc(9_000_000, 7)],
  ])('reads %s', async (_, type, packed, text) => {
    expect((await unpack(type, packed))?.equals(text)).toBe(true);
    expect(await unpack(type, packed, text.length - 1)).toBeNull();
  });

  it.each<[string, number, Buffer]>([
    ['gzip', GZIP, gzipSync(Buffer.alloc(40_000_000))],
    ['snappy', Snappy, Buffer.from('ffffffff0f', 'hex')],
    ['lz4', LZ4, packLz4(Buffer.alloc(40_000_000))],
    ['zstd', ZSTD, packZstd(Buffer.alloc(40_000_000))],
  ])('makes no more than a batch may have, of a few kilobytes of %s', async (_, type, packed) => {
    expect(packed.length).toBeLessThan(200_000);
    expect(await unpack(type, packed)).toBeNull();
  });

  it.each<[string, number, Buffer]>([
    ['gzip', GZIP, gzipSync(TEXT)],
    ['snappy', Snappy, snappy.compress(TEXT)],
    ['lz4', LZ4, Buffer.from(LZ4_FRAME, 'hex')],
    ['zstd', ZSTD, Buffer.from(ZSTD_STREAMED, 'hex')],
  ])('ends with an error or some text, whatever is damaged: %s', async (_, type, packed) => {
    const isRefused = async (data: Buffer) =>
      unpack(type, data).then(
        () => false,
        () => true,
      );
    expect(await isRefused(Buffer.alloc(20, 0xff))).toBe(true);
    // snappyjs fills up with zeros: the records within are no records then.
    if (type !== Snappy) expect(await isRefused(packed.subarray(0, packed.length - 9))).toBe(true);
    for (let at = 0; at < packed.length; at += 1) {
      const changed = Buffer.from(packed);
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      await unpack(type, changed).catch(() => null);
    }
  });
});
