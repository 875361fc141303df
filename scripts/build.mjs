// Compiles the program into dist/ and bundles the packages of packages/ from it. Both are replaced only when that
// succeeded: tests that run meanwhile keep the old ones.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NEW = join(ROOT, '.tmp', `build-${process.pid}`);
const OLD = `${NEW}-old`;
const DIST = join(ROOT, 'dist');
const BIN = join('src', 'cli', 'main.js');

try {
  compile();
  copyData();
  recordCommit();
  makeExecutable();
  await packages();
  replaceDist();
} catch (error) {
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  for (const dir of [NEW, OLD]) rmSync(dir, { recursive: true, force: true });
}

function compile() {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc)) throw new Error('TypeScript is not installed: run `npm ci` first');
  const args = [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', NEW];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) throw new Error('TypeScript reports errors; dist/ is as it was');
}

/** JSON that is read as a file at run time; the compiler only takes what is imported. */
function copyData() {
  for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.json')) continue;
    const target = join(NEW, 'src', file);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(ROOT, 'src', file), target);
  }
}

/** The image has the program only. */
async function packages() {
  if (!existsSync(join(ROOT, 'packages'))) return;
  const { buildPackages } = await import('./build-packages.mjs');
  await buildPackages(ROOT, NEW);
}

/** For `connection-secrets version`. Outside of a repository there is none. */
function recordCommit() {
  if (!existsSync(join(ROOT, '.git'))) return;
  const { status, stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  if (status === 0) writeFileSync(join(NEW, 'build.json'), `${JSON.stringify({ commit: stdout.trim() })}\n`);
}

function makeExecutable() {
  const bin = join(NEW, BIN);
  if (!existsSync(bin))
    throw new Error(`${BIN} is missing: it is the program that package.json names as bin`);
  chmodSync(bin, 0o755);
}

function replaceDist() {
  if (existsSync(DIST)) renameSync(DIST, OLD);
  renameSync(NEW, DIST);
}
