import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { longPipeLine } from '../../../src/events/pipe-line.js';
import { unpackRecord, packRecord } from '../../../src/events/dead-letter.js';
import { decodeRecord } from '../../../src/events/decode.js';
import { LIMITS } from '../../../src/limits.js';
import { LineCollector, splitLines, type LongLine } from '../../../src/pipe/run-pipe.js';
import { schema } from '../../harness/schemas.js';
import { TOPICS } from '../events/support.js';

const MIB = 1024 * 1024;

async function linesOf(...chunks: (string | Buffer)[]): Promise<(string | LongLine)[]> {
  async function* stream(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) {
      await Promise.resolve();
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    }
  }
  const lines: (string | LongLine)[] = [];
  for await (const line of splitLines(stream())) lines.push(Buffer.isBuffer(line) ? line.toString() : line);
  return lines;
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('the lines of a stream', () => {
  it.each([
    [['a\nb\n'], ['a', 'b']],
    [['a\nb'], ['a', 'b']],
    [
      ['a', '\n', 'b', 'c\n', '\n', 'd'],
      ['a', 'bc', '', 'd'],
    ],
    [['\n\n'], ['', '']],
    [['', ''], []],
    [
      ['x'.repeat(5_000), 'y'.repeat(9_000), '\nz'],
      ['x'.repeat(5_000) + 'y'.repeat(9_000), 'z'],
    ],
  ])('%#: are found whatever the chunks', async (chunks, lines) => {
    expect(await linesOf(...chunks)).toEqual(lines);
  });

  it('are complete up to the limit; one byte more, and their bytes are dropped', async () => {
    const fits = Buffer.alloc(LIMITS.recordBytes, 'a');
    const over = Buffer.alloc(LIMITS.recordBytes + 1, 'b');
    const lines = await linesOf(fits, '\n', over, '\nnext');
    expect(lines[0] === fits.toString()).toBe(true);
    expect(lines.slice(1)).toEqual([{ size: over.length, digest: digestOf(over) }, 'next']);
  });

  it('continue after a long line, which may end with the stream or within a chunk', async () => {
    const long = Buffer.alloc(LIMITS.recordBytes + MIB, 'c');
    expect(await linesOf(Buffer.concat([Buffer.from('a\n'), long, Buffer.from('\nb\n')]), long)).toEqual([
      'a',
      { size: long.length, digest: digestOf(long) },
      'b',
      { size: long.length, digest: digestOf(long) },
    ]);
  });
});

describe('the buffer of a line', () => {
  it.each([
    ['chunks', 64 * 1024],
    ['small parts', 100],
    ['one part', 40 * MIB],
  ])('never is more than the limit, and nothing beyond it: 40 MB in %s', (_what, partBytes) => {
    const collector = new LineCollector();
    const part = Buffer.alloc(partBytes, 'd');
    let most = 0;
    let beyond = 0;
    for (let sent = 0; sent < 40 * MIB; sent += partBytes) {
      collector.add(part);
      most = Math.max(most, collector.heldBytes);
      if (collector.size > LIMITS.recordBytes) beyond = Math.max(beyond, collector.heldBytes);
    }
    expect(beyond).toBe(0);
    expect(most).toBeLessThanOrEqual(LIMITS.recordBytes);
    expect(collector.take()).toMatchObject({ size: Math.ceil((40 * MIB) / partBytes) * partBytes });
    collector.add(Buffer.from('next'));
    expect(collector.take()).toEqual(Buffer.from('next'));
  });
});

it('a refused long line is known by its position and size; two of one size are two records', () => {
  const [one, other] = ['1', '2'].map((text) => {
    const bytes = Buffer.alloc(10, text);
    return longPipeLine({ size: LIMITS.recordBytes + 1, digest: digestOf(bytes) }, 7, 1);
  });
  expect(decodeRecord(one!, TOPICS, 1)).toMatchObject({
    kind: 'undecodable',
    connectionId: null,
    error: {
      code: 'EVENT_TOO_LARGE',
      message: `the record has ${LIMITS.recordBytes + 1} bytes, more than ${LIMITS.recordBytes}: kept without its payload, which is at pipe/0 7`,
    },
  });
  expect(one?.unread).not.toEqual(other?.unread);
  expect(schema('dead-letter.payload.json')(JSON.parse(packRecord(one!).toString()))).toBe(true);
  expect(unpackRecord(packRecord(one!))).toEqual(one);
});
