import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../../../src/cli/program.js';
import { docBlock, docBlocks, expectShown, withValues } from '../../harness/doc-blocks.js';
import type { DocBlock } from '../../harness/doc-blocks.js';
import { PROJECT_DIR } from '../../harness/index.js';

/** Pages of which every fenced block is taken by a test. */
const TESTED_PAGES = [
  'docs/ingestion.md',
  'docs/keys.md',
  'docs/migration.md',
  'docs/publishing.md',
  'docs/replay.md',
];
const PAGES = [
  'README.md',
  ...readdirSync(join(PROJECT_DIR, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The calls of `docBlock` in the sources of the tests, with their literals. */
function takenBlocks(): { page: string; language: string; mark: string }[] {
  const files = readdirSync(join(PROJECT_DIR, 'test'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => {
      const text = readFileSync(join(PROJECT_DIR, 'test', file), 'utf8');
      const calls = text.matchAll(/\bdocBlock\(\s*'([^']+)',\s*'([^']*)',\s*(?:'([^']+)'|"([^"]+)"),?\s*\)/g);
      return [...calls].map(([, page = '', language = '', single, double]) => ({
        page,
        language,
        mark: single ?? double ?? '',
      }));
    });
}

const nameOf = ({ page, line }: DocBlock): string => `${page}:${line}`;

describe('the blocks of the pages', () => {
  it.each(TESTED_PAGES)('of %s are all taken by a test', (page) => {
    const taken = takenBlocks().filter((call) => call.page === page);
    const blocks = taken.map(({ language, mark }) => nameOf(docBlock(page, language, mark)));
    expect(
      docBlocks(page)
        .filter((block) => !blocks.includes(nameOf(block)))
        .map(nameOf),
    ).toEqual([]);
  });

  it('are found by language and text, and only where there is one', () => {
    expect(docBlock('README.md', 'sh', 'git clone').text).toContain('npm run demo');
    expect(() => docBlock('README.md', 'sh', 'no such text')).toThrow(/has 0 blocks of sh/);
    expect(() => docBlock('README.md', 'sh', 'generate-key')).toThrow(/has 2 blocks/);
  });

  it('get values only for what is there', () => {
    expect(withValues('a b a', { a: 'x' })).toBe('x b x');
    expect(() => withValues('a', { b: 'x' })).toThrow(/"b" is not in/);
  });

  it.each<[string, string, boolean]>([
    ['a line\n', 'a line\n', true],
    ['a line\n', 'another line\n', false],
    ['a line\n', 'a line\nand more\n', false],
    ['$ command\na … line\n', 'a (long) line\n', true],
    ['first\n…\nlast\n', 'first\nlast\n', true],
    ['first\n…\nlast\n', 'first\nx\ny\nlast\n', true],
    ['first\n…\nlast\n', 'first\nx\nlast one\n', false],
    ['  cost: 5.00 $ (a+b)*\n', '  cost: 5.00 $ (a+b)*  \n', true],
    ['a.c\n', 'abc\n', false],
  ])('%j shown and %j printed: %s', (text, printed, isSame) => {
    const shown = { page: 'p', line: 1, language: 'text', text };
    if (isSame) expectShown(shown, printed);
    else
      expect(() => {
        expectShown(shown, printed);
      }).toThrow(/p:1 shows/);
  });
});

describe('the commands that pages name in a sentence', () => {
  const commands = PAGES.flatMap((page) => {
    const prose = readFileSync(join(PROJECT_DIR, page), 'utf8').replace(/^```.*?^```$/gms, '');
    const named = [...prose.matchAll(/`(?:npx )?connection-secrets ([a-z][^`]*)`/g)];
    return named.map(([, command = '']) => [page, command] as const);
  });

  it.each(commands)('%s: connection-secrets %s', async (_, command) => {
    const words = command.replace(/[[\]|…]/g, ' ').split(/\s+/);
    const last = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word));
    const stdout = new PassThrough();
    const cli = { env: {}, stdin: new PassThrough(), stdout, stderr: new PassThrough() };
    const names = last === -1 ? words : words.slice(0, last);
    expect(await runProgram([...names, '--help'], cli)).toBe(0);
    const help = (stdout.read() as Buffer).toString();
    expect(help).toContain(`Usage: connection-secrets ${names.join(' ')}`);
    for (const flag of words.filter((word) => word.startsWith('--'))) expect(help).toContain(flag);
  });
});
