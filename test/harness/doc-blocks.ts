import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { transformSync } from 'esbuild';
import { PROJECT_DIR } from './cache.js';
import { disposeLater } from './cleanup.js';
import { CLI_FILE, startProcess } from './start-process.js';
import type { Exit, TestProcess } from './start-process.js';
import { freshName, tmpDir } from './tmp-dir.js';

/** A fenced block of a page in docs. */
export interface DocBlock {
  /** From the root of the checkout: `docs/ingestion.md`. */
  readonly page: string;
  /** The line of its opening fence, from 1. */
  readonly line: number;
  /** The word behind the fence: `sh`, `js`, `json`, `text`. */
  readonly language: string;
  readonly text: string;
}

const BLOCK = /^```(\w*)[^\n]*\n(.*?)^```$/gms;

/** All fenced blocks of a page, in their order. */
export function docBlocks(page: string): DocBlock[] {
  const text = readFileSync(join(PROJECT_DIR, page), 'utf8');
  return [...text.matchAll(BLOCK)].map(({ index, 1: language = '', 2: block = '' }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language,
    text: block,
  }));
}

/**
 * The one block of a page in this language that contains this text. Write all three arguments as literals: the unit test of
 * the pages (`test/unit/docs/blocks.test.ts`) reads these calls in the sources to find blocks that no test runs.
 *
 * @throws Error if there is none, or more than one
 */
export function docBlock(page: string, language: string, mark: string): DocBlock {
  const found = docBlocks(page).filter((block) => block.language === language && block.text.includes(mark));
  const [block] = found;
  if (block !== undefined && found.length === 1) return block;
  throw new Error(`${page} has ${found.length} blocks of ${language} with "${mark}", wanted is one`);
}

export interface BlockOptions {
  /** Values in place of the samples that a reader would replace. Each sample must occur; all its occurrences are replaced. */
  readonly values?: Readonly<Record<string, string>>;
  /** The environment of the commands, besides PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the checkout. */
  readonly cwd?: string;
}

/**
 * Starts a block in bash, which stops at the first command that fails. Several blocks run one after another in one shell,
 * as a reader would paste them. `connection-secrets` and `npx connection-secrets` are the program in `dist/`. The last
 * command replaces the shell, so that stopping the process stops a program that runs on.
 */
export function startBlock(
  blocks: DocBlock | readonly DocBlock[],
  { values = {}, env = {}, cwd = PROJECT_DIR }: BlockOptions = {},
): TestProcess {
  const script = withValues(
    asList(blocks)
      .map(({ text }) => text)
      .join(''),
    values,
  );
  return startProcess({
    command: 'bash',
    args: ['--norc', '-euo', 'pipefail', '-c', lastInPlaceOfShell(script)],
    cwd,
    env: { ...env, PATH: [programFolder(), env['PATH'] ?? process.env['PATH'] ?? ''].join(delimiter) },
  });
}

/**
 * Starts a `ts` block as a module of the checkout, which can import the packages by their names.
 *
 * @param before declarations of what the block uses, which the page leaves to its reader
 */
export function startModule(
  { page, text }: DocBlock,
  before: string,
  { values = {}, env = {} }: BlockOptions = {},
): TestProcess {
  const folder = join(PROJECT_DIR, '.tmp');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${freshName(basename(page, '.md'))}.mjs`);
  const { code } = transformSync(withValues(text, values), { loader: 'ts', target: 'esnext' });
  writeFileSync(file, `${before}\n${code}`);
  disposeLater(() => {
    rmSync(file, { force: true });
  });
  return startProcess({ command: process.execPath, args: [file], cwd: PROJECT_DIR, env });
}

export interface BlockResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a block to its end. Default time-out 120,000 ms. Does not check the exit code: the test has to. */
export async function runBlock(
  blocks: DocBlock | readonly DocBlock[],
  { timeoutMs = 120_000, ...options }: BlockOptions & { readonly timeoutMs?: number } = {},
): Promise<BlockResult> {
  const block = startBlock(blocks, options);
  block.end();
  const exit = await block.waitForExit(timeoutMs);
  return { ...exit, stdout: block.stdout(), stderr: block.stderr() };
}

/**
 * Throws unless a program printed what a page shows. In the page `…` stands for any text within a line, and a line of `…`
 * alone for any number of lines. It ignores spaces at the end of lines, and lines that begin with `$ `: these are commands.
 */
export function expectShown(shown: DocBlock, printed: string): void {
  const wanted = linesOf(shown.text).filter((line) => !line.startsWith('$ '));
  const pattern = wanted.map((line) => (line.trim() === '…' ? '(?:.*\n)*?' : `${linePattern(line)}\n`));
  const lines = linesOf(printed).map((line) => `${line}\n`);
  if (new RegExp(`^${pattern.join('')}$`).test(lines.join(''))) return;
  throw new Error(`${shown.page}:${shown.line} shows\n${shown.text}\nprinted was\n${printed}`);
}

/** Puts values in place of a page's samples. A sample that is missing means that the page has changed. */
export function withValues(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`"${from}" is not in:\n${text}`);
    return changed.replaceAll(from, to);
  }, text);
}

/** Lets the last command replace the shell, unless it is a chain (`a && b`, `a | b`) or an assignment. */
function lastInPlaceOfShell(script: string): string {
  const lines = script.trimEnd().split('\n');
  const last = lines.pop() ?? '';
  const isSimple = /^[\w./"$-]+ /.test(last) && !/[|&;()]|^(?:export|cd|set) /.test(last);
  const follows = lines.at(-1)?.endsWith('\\') === true;
  return [...lines, isSimple && !follows ? `exec ${last}` : last, ''].join('\n');
}

function linePattern(line: string): string {
  const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return parts.join('.*');
}

function linesOf(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd());
}

function asList(blocks: DocBlock | readonly DocBlock[]): readonly DocBlock[] {
  return 'text' in blocks ? [blocks] : blocks;
}

/** A folder with the program under the two names that the pages use. */
function programFolder(): string {
  if (!existsSync(CLI_FILE)) throw new Error('dist is missing: run `npm run build` first');
  const folder = join(tmpDir('program'), 'bin');
  mkdirSync(folder, { recursive: true });
  const program = `exec "${process.execPath}" "${CLI_FILE}" "$@"`;
  const files = {
    'connection-secrets': `#!/bin/sh\n${program}\n`,
    npx: `#!/bin/sh\n[ "$1" = connection-secrets ] || { echo "npx $1: no test runs that" >&2; exit 1; }\nshift\n${program}\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}
