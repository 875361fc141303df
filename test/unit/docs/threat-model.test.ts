import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../../src/errors.js';
import { SETTING_NAMES } from '../../../src/config/settings.js';
import { PROJECT_DIR } from '../../harness/index.js';

const page = readFileSync(join(PROJECT_DIR, 'docs/threat-model.md'), 'utf8');

/** Rows of the tables of attacks: what stops somebody stands before the last column. */
const attacks = page
  .split('\n')
  .filter((line) => line.startsWith('|') && line.includes('`test/'))
  .map((line) => line.split('|').slice(1, -1));

describe('the threat model', () => {
  it('names a test for each protection, and every one exists', () => {
    expect(attacks.length).toBeGreaterThan(20);
    const missing = attacks
      .flatMap((cells) => [...(cells.at(-1) ?? '').matchAll(/`([^`]+)`/g)])
      .map(([, file = '']) => file)
      .filter((file) => !file.endsWith('.test.ts') || !existsSync(join(PROJECT_DIR, file)));
    expect(missing).toEqual([]);
  });

  it('has no table of attacks with a row without one', () => {
    const sections = page.split(/^### /m).slice(1);
    for (const section of sections) {
      const rows = section.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('|---'));
      for (const row of rows.slice(1)) expect(row).toContain('`test/');
      expect(section).toContain('**Not stopped.**');
    }
  });

  it('speaks of codes and settings that there are', () => {
    const words = [...page.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[a-z]+)?`/g)].map(
      ([, word = '']) => word,
    );
    const known = new Set<string>([...Object.keys(ERROR_CODES), ...SETTING_NAMES]);
    // Named as what does not exist yet.
    known.add('EVENT_AUTH');
    expect(words.filter((word) => !known.has(word))).toEqual([]);
  });
});
