import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openFileSink } from '../../../src/pipe/file-outlet.js';
import { tmpDir } from '../../harness/index.js';

const LINE = '{"specversion":"1.0","id":"one"}\n';

async function appendedTo(before: string): Promise<string> {
  const file = join(tmpDir('outlet'), 'secured.ndjson');
  writeFileSync(file, before);
  const sink = await openFileSink(file, new AbortController().signal);
  await sink.write(LINE);
  await sink.close();
  return readFileSync(file, 'utf8');
}

it.each(Array.from({ length: LINE.length - 1 }, (_, index) => LINE.slice(0, index + 1)))(
  'half a line of ours is cut off, however little of it was written: %s',
  async (half) => {
    expect(await appendedTo(half)).toBe(LINE);
    expect(await appendedTo(LINE + half)).toBe(LINE + LINE);
  },
);

it('half a line is cut off however long it is', async () => {
  const half = LINE.slice(0, -2) + 'x'.repeat(3 * 1024 * 1024);
  expect(await appendedTo(half)).toBe(LINE);
  expect(await appendedTo(LINE + half)).toBe(LINE + LINE);
});

it('a text that is not ours stays, and gets its line break', async () => {
  expect(await appendedTo('{"other":1')).toBe(`{"other":1\n${LINE}`);
  expect(await appendedTo('')).toBe(LINE);
});
