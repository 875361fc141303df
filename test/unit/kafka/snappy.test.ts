import { describe, expect, it } from 'vitest';
import { createSnappyCodec } from '../../../src/kafka/snappy.js';

const TEXT = Buffer.from('connection '.repeat(500));

/** As Java's producers frame it. */
function framed(blocks: readonly Buffer[]): Buffer {
  const header = Buffer.from('82534e41505059000000000100000001', 'hex');
  const parts = blocks.flatMap((block) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  });
  return Buffer.concat([header, ...parts]);
}

describe('createSnappyCodec', () => {
  const codec = createSnappyCodec();

  it('reads what it writes', async () => {
    const compressed = await codec.compress({ buffer: TEXT });
    expect(compressed.length).toBeLessThan(TEXT.length);
    expect(await codec.decompress(compressed)).toEqual(TEXT);
  });

  it('reads several framed blocks', async () => {
    const halves = [TEXT.subarray(0, 2_000), TEXT.subarray(2_000)];
    const blocks = await Promise.all(halves.map(async (buffer) => codec.compress({ buffer })));
    expect(await codec.decompress(framed(blocks))).toEqual(TEXT);
  });

  it('does not believe in gigabytes', async () => {
    // A snappy block that claims to hold 4 GiB: the length as a varint, nothing behind it.
    await expect(codec.decompress(Buffer.from('ffffffff0f', 'hex'))).rejects.toThrow();
  });
});
