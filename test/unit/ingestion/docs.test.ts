import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as ingestion from '../../../src/ingestion/index.js';
import * as publisher from '../../../src/publisher/index.js';

const read = (file: string): string => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
const MODULES: Readonly<Record<string, object>> = { ingestion, publisher };

describe('docs/ingestion.md and docs/publishing.md', () => {
  it.each(['ingestion', 'publishing'])('%s imports only what there is, in code that parses', async (page) => {
    const blocks = [...read(`docs/${page}.md`).matchAll(/^```js\n(.*?)^```$/gms)].map(
      (match) => match[1] ?? '',
    );
    expect(blocks).toHaveLength(1);
    for (const block of blocks) {
      const imports = [...block.matchAll(/import \{([^}]+)\} from 'connection-secrets-worker\/(\w+)'/g)];
      expect(imports).toHaveLength(1);
      for (const [, names = '', module = ''] of imports)
        for (const name of names.split(','))
          expect(Object.keys(MODULES[module] ?? {})).toContain(name.trim());
      const body = block.replace(/^import .*$/gm, '');
      const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;
      expect(() => AsyncFunction(body)).not.toThrow();
    }
  });

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
