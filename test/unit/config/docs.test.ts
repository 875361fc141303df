import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderConfigurationDocs } from '../../../scripts/docs-configuration.js';
import { SETTING_NAMES } from '../../../src/config/settings.js';

it('docs/configuration.md is up to date (npx tsx scripts/docs-configuration.ts)', () => {
  const written = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  expect(written).toBe(renderConfigurationDocs());
});

it('tells of every setting, in a table whose rows have four cells', () => {
  const text = renderConfigurationDocs();
  for (const name of SETTING_NAMES) expect(text).toContain(`| \`${name}\``);
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  expect(rows).toHaveLength(SETTING_NAMES.length);
  for (const row of rows) expect(row.replaceAll('\\|', '').split('|')).toHaveLength(6);
});
