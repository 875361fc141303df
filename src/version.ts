import { existsSync, readFileSync } from 'node:fs';

const PLACES = ['../package.json', '../../package.json'];

/** The version of this program, from the package.json above this file, compiled or not. */
export function programVersion(): string {
  for (const place of PLACES) {
    const url = new URL(place, import.meta.url);
    if (!existsSync(url)) continue;
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version?: unknown };
    if (typeof version === 'string') return version;
  }
  return 'unknown';
}
