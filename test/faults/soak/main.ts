// `npm run soak`: a long run with faults all the time, then the whole kill matrix. Needs nothing before, ends by itself.
// Exit code 0: all invariants hold, memory and handles are flat; 1: not; 2: wrong use.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI_FILE, PROJECT_DIR } from '../../harness/index.js';
import { describeViolations } from '../checker/index.js';
import { parseOptions, USAGE, type CommandOptions } from './options.js';
import { runSoak } from './run.js';
import { isGood, summary } from './summary.js';

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

function readOptions(): CommandOptions | null {
  try {
    if (!process.argv.includes('--help')) return parseOptions(process.argv.slice(2));
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    process.exitCode = 2;
  }
  print(USAGE);
  return null;
}

function runScript(...args: readonly string[]): boolean {
  return spawnSync('npm', ['run', ...args], { cwd: PROJECT_DIR, stdio: 'inherit' }).status === 0;
}

const FIGURES = join(PROJECT_DIR, 'docs', 'test-runs.md');
const [BEGIN, END] = ['<!-- figures of the last long run -->', '<!-- end of the figures -->'];

/** Puts the figures in place of the last ones. */
function recordFigures(text: string): void {
  const page = readFileSync(FIGURES, 'utf8');
  const [before, after] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before === -1 || after < before) throw new Error(`${FIGURES} has no place for figures`);
  const kept = [page.slice(0, before + BEGIN.length), page.slice(after)];
  writeFileSync(FIGURES, kept.join(`\n\n${text}\n`));
}

async function main(options: CommandOptions): Promise<boolean> {
  if (!existsSync(CLI_FILE) && !runScript('build')) return false;
  const begin = performance.now();
  const result = await runSoak(options, (line) =>
    print(`[${((performance.now() - begin) / 1_000).toFixed(0).padStart(5)} s] ${line}`),
  );
  const text = summary(result);
  print(`\n${text}`);
  if (options.record && isGood(result)) recordFigures(text);
  if (result.dir !== null)
    print(`${describeViolations(result.violations.slice(0, 50))}\nlogs: ${result.dir}`);
  return isGood(result);
}

const options = readOptions();
if (options !== null) {
  const isWell = await main(options);
  const repeat = options.matrixRepeat;
  const isMatrixGreen = repeat === 0 || runScript('kills', '--', '--repeat', String(repeat));
  process.exitCode = isWell && isMatrixGreen ? 0 : 1;
  print(process.exitCode === 0 ? 'soak: all is well' : 'soak: NOT WELL');
}
