import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FINDING_KINDS } from '../../../src/operations/verify/finding.js';
import { PROJECT_DIR } from '../../harness/index.js';

it('docs/cli.md tells of every finding, what is done about it and what to do', () => {
  const text = readFileSync(join(PROJECT_DIR, 'docs', 'cli.md'), 'utf8');
  const rows = Object.entries(FINDING_KINDS).map(
    ([kind, { meaning, repair, remedy }]) => `| \`${kind}\` | ${meaning} | ${repair ?? '–'} | ${remedy} |`,
  );
  const table = [
    '| finding | meaning | `--repair`, or the flag named | what to do |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
  expect(text).toContain(table);
});
