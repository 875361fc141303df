import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { z } from 'zod';
import { PROVIDERS } from '../secrets-managers/providers.js';
import { programVersion } from '../version.js';
import { command } from './define-command.js';

/** What a report of a problem should name: these talk to other systems. */
const LIBRARIES = [
  ...PROVIDERS.flatMap(({ packages }) => packages.slice(0, 1)),
  'kafkajs',
  'typeorm',
  'pg',
  'mysql2',
];

const BUILD = new URL('../../build.json', import.meta.url);
const require = createRequire(import.meta.url);

export const version = command({
  name: 'version',
  about:
    'print the version of this program, its commit, Node.js and the libraries that talk to other systems',
  examples: ['version', 'version --json'],
  run: () => {
    const libraries = Object.fromEntries(LIBRARIES.map((name) => [name, versionOf(name)]));
    const own = { version: programVersion(), commit: commitOf(), node: process.version };
    const text = Object.entries({ ...own, ...libraries }).map(
      ([name, known]) => `${name.padEnd(32)} ${known ?? 'not known'}`,
    );
    return Promise.resolve({ json: { ...own, libraries }, text: () => text.join('\n') });
  },
});

/** Null: it was not built from a repository. */
function commitOf(): string | null {
  if (!existsSync(BUILD)) return null;
  return z.object({ commit: z.string() }).parse(JSON.parse(readFileSync(BUILD, 'utf8'))).commit;
}

/** Null: it is not installed. Some packages do not export their package.json, so it is looked for as a file. */
function versionOf(library: string): string | null {
  const files = (require.resolve.paths(library) ?? []).map((folder) => join(folder, library, 'package.json'));
  const file = files.find((one) => existsSync(one));
  if (file === undefined) return null;
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
}
