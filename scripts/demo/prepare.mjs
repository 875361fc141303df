import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { matchesLock } from '../installed.mjs';

const SOURCES = ['src', 'consumers', 'producers', 'migrations'];
const SOURCE_FILES = ['package.json', 'tsconfig.json', 'tsconfig.build.json'];

/** Installs what the lock file says and builds, where that is not done yet. One line each. */
export async function prepare(root, printer, workspace) {
  requireNode(root);
  printer.section('Preparing');
  const run = (command, args) => runQuietly(command, args, root, workspace);
  await timed(printer, 'install', matchesLock(root), () =>
    run(process.platform === 'win32' ? 'npm.cmd' : 'npm', [
      'ci',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ]),
  );
  await timed(printer, 'build', isBuilt(root), () =>
    run(process.execPath, [join(root, 'scripts', 'build.mjs')]),
  );
}

function requireNode(root) {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [major, minor] = engines.node.match(/\d+/g).map(Number);
  const [ourMajor, ourMinor] = process.versions.node.split('.').map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  throw new Error(`Node.js ${major}.${minor} or newer is needed, this is ${process.versions.node}`);
}

async function timed(printer, name, isDone, work) {
  printer.beginLine(name.padEnd(10));
  if (isDone) return printer.endLine('up to date');
  const begin = performance.now();
  await work().catch((error) => {
    printer.endLine('failed');
    throw new Error(`${name}: ${error.message}`);
  });
  return printer.endLine(`${((performance.now() - begin) / 1000).toFixed(1)} s`);
}

/** Whether the built program is newer than everything it is made of. */
function isBuilt(root) {
  try {
    const builtMs = statSync(join(root, 'dist', 'src', 'cli', 'main.js')).mtimeMs;
    const files = SOURCES.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, file)),
    );
    return [...files, ...SOURCE_FILES].every((file) => statSync(join(root, file)).mtimeMs <= builtMs);
  } catch {
    return false;
  }
}

/** Prints nothing unless it fails. */
function runQuietly(command, args, cwd, workspace) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    workspace.adopt(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => reject(new Error(`${command} cannot be run: ${error.code}`)));
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`it ended with code ${code}\n${output.trim()}`));
    });
  });
}
