import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** What Node itself loads: the program, and what `npm run kills` and `npm run soak` run outside of the test runner. */
const FOLDERS = [
  'consumers/',
  'producers/',
  'src/kafka/',
  'test/harness/',
  'test/faults/kills/',
  'test/faults/soak/',
].map((folder) => new URL(`../../../${folder}`, import.meta.url));

/** Names that are imported as values from kafkajs. */
function valueImports(): string[] {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith('.ts'))
      .map((file) => new URL(file, folder)),
  );
  const names = files.flatMap((file) => {
    const source = readFileSync(file, 'utf8');
    const imports = source.matchAll(/^import (?!type)[^{;]*\{([^}]*)\} from 'kafkajs';/gm);
    return [...imports].flatMap(([, list = '']) => list.split(',').map((name) => name.trim()));
  });
  return [...new Set(names)].filter((name) => name !== '' && !name.startsWith('type '));
}

describe('imports of kafkajs', () => {
  it('are names that Node finds in it, which is CommonJS: the test runner finds more', () => {
    const names = valueImports();
    expect(names).toContain('Kafka');
    const program = "import * as kafkajs from 'kafkajs'; console.log(JSON.stringify(Object.keys(kafkajs)))";
    const found: unknown = JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }),
    );
    expect(found).toEqual(expect.arrayContaining(names));
  });
});
