// `npm test`: all there is to check, from a fresh clone on. `npm test -- FILTER…` hands file filters and options to
// Vitest. The last line is `N passed, N failed[, N skipped]`; exit code 1 where something failed or no test ran.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { matchesLock } from './installed.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const REPORT = join(ROOT, '.tmp', 'vitest.json');
const LEAK_GRACE_MS = 5_000;

/** In the environment of everything that is started here: by it, what was left behind is found. */
const RUN_ID = randomUUID();
const filters = process.argv.slice(2);
const env = { ...process.env, TEST_RUN_ID: RUN_ID };
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
  if (await step('build', () => runTool('node', [join(ROOT, 'scripts', 'build.mjs')]))) {
    await Promise.all([staticChecks(), suites()]);
    await step('nothing left running', leaks);
  }
}
finish();

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

/** One after another, in the time that suites leave which wait for servers and workers. */
async function staticChecks() {
  const idle = { priority: constants.priority.PRIORITY_LOW };
  await step('types', () => runNodeTool('typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit'], idle));
  await step('format', () =>
    runNodeTool('prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.'], idle),
  );
  await step('lint', () => runNodeTool('eslint/bin/eslint.js', ['.', '--max-warnings', '0'], idle));
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
  rmSync(REPORT, { force: true });
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`, ...filters];
  let broken;
  try {
    await runNodeTool('vitest/vitest.mjs', args, { show: true });
  } catch (error) {
    broken = error.message;
  }
  const seconds = (performance.now() - begin) / 1000;
  const counts = readReport();
  const result = { name: 'suites', counted: true, seconds, note: '', ...counts };
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

function readReport() {
  try {
    const report = JSON.parse(readFileSync(REPORT, 'utf8'));
    // A file that could not be loaded has no tests to count.
    const unloaded = report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
    );
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + unloaded.length,
      skipped: report.numPendingTests + report.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
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

function finish() {
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
  print(`${sum('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
