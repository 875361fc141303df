import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as ingestion from '../../../src/ingestion/index.js';
import { docBlock } from '../../harness/doc-blocks.js';

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

  it('name the SDKs that the package leaves to its user, and no other package', () => {
    const [, packages = ''] =
      /^npm install (.*)\n$/.exec(docBlock('docs/ingestion.md', 'sh', '@aws-sdk/client-ssm').text) ?? [];
    const { peerDependencies } = JSON.parse(read('packages/ingestion/package.json')) as {
      peerDependencies: Record<string, string>;
    };
    const wanted = Object.keys(peerDependencies).filter((name) => name !== 'better-sqlite3');
    expect(packages.split(' ')).toEqual(wanted);
    expect(read('packages/ingestion/README.md')).toContain(packages);
  });
});
