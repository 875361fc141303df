import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const FOLDER = new URL('../../../src/kafka/', import.meta.url);

/** Names that are imported as values from kafkajs. */
function valueImports(): string[] {
  const names = readdirSync(FOLDER).flatMap((file) => {
    const source = readFileSync(new URL(file, FOLDER), 'utf8');
    const imports = source.matchAll(/^import (?!type)[^{;]*\{([^}]*)\} from 'kafkajs';/gm);
    return [...imports].flatMap(([, list = '']) => list.split(',').map((name) => name.trim()));
  });
  return [...new Set(names)].filter((name) => name !== '');
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
