// `npm test`, `npm run test:faults` and `npm run test:all`: the tiers of test/suites.ts, from a fresh clone on. Further
// arguments go to Vitest: file filters, which look in all suites, and options. The last line is
// `N passed, N failed[, N skipped]`, the one above names the tier and what it left out. Exit code 1 where something
// failed or no test ran.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { matchesLock } from './installed.mjs';
import { coverageOf, readReport, timesOf } from './test-report.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const REPORT = join(ROOT, '.tmp', 'vitest.json');
const COVERAGE = join(ROOT, '.tmp', 'coverage', 'coverage-summary.json');
const LEAK_GRACE_MS = 5_000;
const COMMANDS = { quick: 'npm test', faults: 'npm run test:faults', all: 'npm run test:all' };

/** In the environment of everything that is started here: by it, what was left behind is found. */
const RUN_ID = randomUUID();
const [tierFlag, asked, ...rest] = process.argv.slice(2);
const tier = tierFlag === '--tier' ? asked : 'quick';
const args = tierFlag === '--tier' ? rest : process.argv.slice(2);
/** Vitest's own option; it chooses no tests. */
const isCovered = args.includes('--coverage');
const choosing = args.filter((arg) => arg !== '--coverage');
if (!(tier in COMMANDS)) throw new Error(`no tier \`${tier}\`: ${Object.keys(COMMANDS).join(', ')}`);
/** Whether the arguments choose files, of whichever suite. */
const isChoice = args.some(
  (arg) => arg.startsWith('--project') || (!arg.startsWith('-') && isOfATestFile(arg)),
);
const isQuick = tier === 'quick';
const env = {
  ...process.env,
  TEST_RUN_ID: RUN_ID,
  TEST_REPORT: REPORT,
  TEST_TIER: isChoice ? 'all' : tier,
  ...(isQuick ? { TEST_SMALL: '1' } : {}),
};
if (!process.stdout.isTTY) {
  env.NO_COLOR = '1';
  delete env.FORCE_COLOR;
}

const steps = [];
const children = new Set();
let interrupted;

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    interrupted = signal;
    // A terminal sends SIGINT to them as well; a second one would cut their clean-up short.
    if (signal === 'SIGTERM' || !process.stdin.isTTY) for (const child of children) child.kill('SIGTERM');
  });
}

if (await step('install', install, { counted: false })) {
  // Of two cores the build takes one.
  const [isBuilt] = await Promise.all([
    step('build', () => runTool('node', [join(ROOT, 'scripts', 'build.mjs')])),
    tier === 'faults' ? undefined : step('types', types),
  ]);
  if (isBuilt) {
    await Promise.all([tier === 'faults' ? undefined : staticChecks(), suites()]);
    await step('nothing left running', leaks);
  }
}
await finish();

/** Runs one step unless we were interrupted; what it throws is its failure. */
async function step(name, work, { counted = true } = {}) {
  if (interrupted !== undefined) return false;
  const begin = performance.now();
  const result = { name, counted, passed: 0, failed: 0, skipped: 0, seconds: 0, note: '' };
  try {
    result.note = (await work()) ?? '';
    result.passed = 1;
  } catch (error) {
    result.failed = 1;
    print(`--- ${name} failed\n${error instanceof Error ? error.message : String(error)}\n`);
  }
  result.seconds = (performance.now() - begin) / 1000;
  steps.push(result);
  return result.failed === 0;
}

/** Type-checks what changed since the last time, as TypeScript itself knows it. */
function types() {
  const state = ['--incremental', '--tsBuildInfoFile', join('.tmp', 'types.tsbuildinfo')];
  return runNodeTool('typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit', ...state]);
}

/**
 * One after another, in the time that suites leave which wait for servers and workers. The quick tier looks again only
 * at files that changed. What ESLint says of a file may depend on others: the long tiers look at all of them.
 */
async function staticChecks() {
  const idle = { priority: constants.priority.PRIORITY_LOW };
  const cache = (name) =>
    isQuick ? ['--cache', '--cache-strategy', 'content', '--cache-location', join('.tmp', name)] : [];
  const prettier = ['--check', '--log-level', 'warn', '.', ...cache('prettier-cache')];
  await step('format', () => runNodeTool('prettier/bin/prettier.cjs', prettier, idle));
  const eslint = ['.', '--max-warnings', '0', ...cache('eslint-cache')];
  await step('lint', () => runNodeTool('eslint/bin/eslint.js', eslint, idle));
  const cspell = ['lint', '--no-progress', '--no-summary', '.', ...cache('cspell-cache')];
  await step('spelling', () => runNodeTool('cspell/bin.mjs', cspell, idle));
  await step('prose', () => runTool('node', [join(ROOT, 'scripts', 'prose.mjs')], idle));
}

async function install() {
  if (matchesLock(ROOT)) return 'up to date';
  await runTool('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { show: true });
  return 'npm ci';
}

async function suites() {
  if (interrupted !== undefined) return;
  const begin = performance.now();
  mkdirSync(join(ROOT, '.tmp'), { recursive: true });
  for (const file of [REPORT, COVERAGE]) rmSync(file, { force: true });
  const options = ['--reporter=default', '--reporter=./scripts/test-report.mjs'];
  let broken;
  try {
    await runNodeTool('vitest/vitest.mjs', ['run', ...options, ...args], { show: true });
  } catch (error) {
    broken = error.message;
  }
  const seconds = (performance.now() - begin) / 1000;
  const counts = readReport(REPORT);
  const result = { name: 'suites', counted: true, note: '', ...counts, seconds };
  if (counts.passed + counts.failed === 0) {
    result.failed += 1;
    result.note = 'no test ran';
  } else if (broken !== undefined && counts.failed === 0) {
    // An error outside of any test: Vitest says so above.
    result.failed += 1;
    result.note = broken;
  }
  steps.push(result);
}

/** No process that a test or the harness started may outlive the run. What is found is named, and ended. */
async function leaks() {
  const deadline = performance.now() + LEAK_GRACE_MS;
  let left = processesOfThisRun();
  while (left.length > 0 && performance.now() < deadline) {
    await delay(100);
    left = processesOfThisRun();
  }
  if (left.length === 0) return '';
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  throw new Error(left.map(({ pid, title }) => `left running: ${pid} ${title}`).join('\n'));
}

/** Linux only: elsewhere nobody may read another process's environment, and the list is empty. */
function processesOfThisRun() {
  const read = (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  const pids = existsSync('/proc/self/environ')
    ? readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    : [];
  return pids
    .filter((pid) => Number(pid) !== process.pid)
    .filter((pid) => read(`/proc/${pid}/environ`).includes(`TEST_RUN_ID=${RUN_ID}`))
    .map((pid) => ({ pid: Number(pid), title: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }));
}

function runNodeTool(path, args, options) {
  return runTool(process.execPath, [join(MODULES, path), ...args], options);
}

/** Rejects with what the tool printed; with `show` it prints by itself. */
function runTool(command, args, { show = false, priority = null } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'];
    const child = spawn(command, args, { cwd: ROOT, env, stdio });
    children.add(child);
    if (priority !== null && child.pid !== undefined) setPriority(child.pid, priority);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => (output += text));
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      children.delete(child);
      if (code === 0) resolve(undefined);
      else reject(new Error(output.trim() || `ended with ${signal ?? `code ${code}`}`));
    });
  });
}

async function finish() {
  // TypeScript is read by what `npm ci` has installed; without that nothing was run.
  const known = steps[0]?.failed === 0 ? await suitesModule() : undefined;
  const files = steps.flatMap((one) => one.files ?? []);
  if (files.length > 1) {
    for (const line of timesOf(files)) print(line);
  }
  print('');
  for (const { name, counted, passed, failed, skipped, seconds, note } of steps) {
    const outcome = failed > 0 ? 'FAILED' : 'ok';
    const numbers = counted && passed + failed + skipped > 1 ? `${passed}/${failed}/${skipped} ` : '';
    print(
      `${name.padEnd(21)} ${outcome.padEnd(7)}${seconds.toFixed(1).padStart(7)} s  ${numbers}${note}`.trimEnd(),
    );
  }
  const sum = (key) =>
    steps.reduce((total, one) => total + (one.counted || key === 'failed' ? one[key] : 0), 0);
  const failed = sum('failed') + (interrupted === undefined ? 0 : 1);
  if (interrupted !== undefined) print(`interrupted by ${interrupted}`);
  const skipped = sum('skipped');
  process.exitCode = failed > 0 || sum('passed') === 0 ? 1 : 0;
  if (isCovered) print(coverageOf(COVERAGE));
  if (known !== undefined) print(scopeOf(known.leftOut(tier, testFiles())));
  print(`${sum('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}

/** Which tier this was, and what of all there is was not run. */
function scopeOf(left) {
  const command = [COMMANDS[tier], ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  if (isChoice) return `${command}: only the test files that these arguments choose`;
  const chosen = choosing.length > 0 ? ['what these arguments leave out'] : [];
  const missing = [...left, ...chosen];
  if (missing.length === 0) return `${command}: everything`;
  return `${command}: the tier \`${tier}\`; left out: ${missing.join(', ')}`;
}

async function suitesModule() {
  const { tsImport } = await import('tsx/esm/api');
  return tsImport('../test/suites.ts', import.meta.url);
}

function testFiles() {
  return readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file}`);
}

function isOfATestFile(text) {
  return testFiles().some((file) => file.includes(text));
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
