import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether what is installed is what the lock file says; packages for other systems may be missing. */
export function matchesLock(root) {
  try {
    const read = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8')).packages;
    const installed = read('node_modules', '.package-lock.json');
    return Object.entries(read('package-lock.json')).every(
      ([path, { version, optional, devOptional }]) =>
        path === '' ||
        installed[path]?.version === version ||
        (installed[path] === undefined && (optional || devOptional)),
    );
  } catch {
    return false;
  }
}
