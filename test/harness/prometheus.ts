import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from './cache.js';
import { findExecutable, requireExecutable, runCommand } from './run-command.js';

/** The programs of Prometheus: the server and `promtool`. */
export interface PrometheusTools {
  readonly prometheus: string;
  readonly promtool: string;
}

/** From PATH, else from Debian's package, unpacked into the cache. Not installed, so that no service starts. About 5 s. */
export async function prometheusTools(): Promise<PrometheusTools> {
  const [prometheus, promtool] = ['prometheus', 'promtool'].map((program) => findExecutable(program));
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  requireExecutable('apt-get', 'prometheus and promtool, or apt-get for their download');
  const bin = join(await cached('prometheus', download), 'usr', 'bin');
  return { prometheus: join(bin, 'prometheus'), promtool: join(bin, 'promtool') };
}

async function download(dir: string): Promise<void> {
  const get = async (): Promise<unknown> =>
    runCommand('apt-get', ['-q', 'download', 'prometheus'], { cwd: dir });
  try {
    await get();
  } catch {
    // On a new machine the lists of packages are missing or too old.
    await runCommand('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', 'update']);
    await get();
  }
  const [archive] = readdirSync(dir).filter((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get has downloaded nothing');
  await runCommand('dpkg', ['-x', archive, dir], { cwd: dir });
}
