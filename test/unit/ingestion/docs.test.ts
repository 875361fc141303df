import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as ingestion from '../../../src/ingestion/index.js';

const read = (file: string): string => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

describe('docs/ingestion.md and docs/publishing.md', () => {
  it('names every error of a reference with its code', () => {
    const rows = [...read('docs/ingestion.md').matchAll(/^\| `(\w+Error)` \| `(\w+)` \|/gm)];
    const documented = new Map(rows.map(([, name = '', code = '']) => [name, code]));
    const source = read('src/ingestion/errors.ts');
    const classes = [...source.matchAll(/^export class (\w+) extends/gm)].map((match) => match[1] ?? '');
    expect([...documented.keys()].sort()).toEqual(classes.sort());
    const made = [
      new ingestion.SecretNotFoundError('secret:/x', ''),
      new ingestion.SecretAccessError('secret:/x', ''),
      new ingestion.SecretStoreUnavailableError('secret:/x', ''),
      new ingestion.SealedReferenceError('secret:/x', ''),
      new ingestion.SecretUnreadableError('secret:/x', ''),
      new ingestion.NotAReferenceError(),
    ];
    for (const error of made) expect(documented.get(error.name)).toBe(error.code);
  });

  it('are entrances of the package', () => {
    const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, unknown> };
    for (const name of ['ingestion', 'publisher'])
      expect(exports[`./${name}`]).toEqual({
        types: `./dist/src/${name}/index.d.ts`,
        default: `./dist/src/${name}/index.js`,
      });
  });
});
