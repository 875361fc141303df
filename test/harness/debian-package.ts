import { readdirSync } from 'node:fs';
import { cached } from './cache.js';
import { requireExecutable, runCommand } from './run-command.js';

/** The folder of the cache with what is in Debian's package: unpacked, not installed, so that no service starts. */
export async function debianPackage(name: string): Promise<string> {
  requireExecutable('apt-get', `for the download of ${name}`);
  return cached(name, (dir) => download(name, dir));
}

async function download(name: string, dir: string): Promise<void> {
  const get = async (): Promise<unknown> => runCommand('apt-get', ['-q', 'download', name], { cwd: dir });
  try {
    await get();
  } catch {
    // On a new machine the lists of packages are missing or too old.
    await runCommand('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', 'update']);
    await get();
  }
  const [archive] = readdirSync(dir).filter((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get has downloaded nothing');
  await runCommand('dpkg', ['-x', archive, dir], { cwd: dir });
}
