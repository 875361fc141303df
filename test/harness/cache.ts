import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait-for.js';

/** The root of the checkout. */
export const PROJECT_DIR = fileURLToPath(new URL('../../', import.meta.url));
/** Downloads that later runs use again. Git ignores it. */
export const CACHE_DIR = join(PROJECT_DIR, '.cache');

const LOCK_TIMEOUT_MS = 600_000;

/**
 * A folder of the cache that `fill` fills once. Its name should contain the versions, so that a new version gets a new
 * folder. If several processes ask at once, one fills the folder and the others wait. A half-filled one is filled anew.
 */
export async function cached(
  name: string,
  fill: (dir: string) => Promise<void>,
  cacheDir: string = CACHE_DIR,
): Promise<string> {
  const dir = join(cacheDir, name);
  const complete = join(dir, '.complete');
  if (existsSync(complete)) return dir;
  mkdirSync(cacheDir, { recursive: true });
  await withLock(join(cacheDir, `${name}.lock`), async () => {
    if (existsSync(complete)) return;
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    await fill(dir);
    writeFileSync(complete, '');
  });
  return dir;
}

/** Runs `work` while no other process of this machine runs anything under the same lock file. */
export async function withLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  await waitFor(() => acquire(lockFile), {
    what: `the lock ${lockFile}`,
    timeoutMs: LOCK_TIMEOUT_MS,
    intervalMs: 200,
  });
  try {
    return await work();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function acquire(lockFile: string): boolean {
  try {
    const file = openSync(lockFile, 'wx');
    writeFileSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch {
    if (holderIsGone(lockFile)) rmSync(lockFile, { force: true });
    return false;
  }
}

function holderIsGone(lockFile: string): boolean {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    // 0: the holder has created the file and not written its number yet.
    return pid > 0 && !isAlive(pid);
  } catch {
    return false;
  }
}

/** Whether a process, or with a negative number a process group, exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
