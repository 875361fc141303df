import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderErrorDocs } from '../../../scripts/docs-errors.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { Metrics } from '../../../src/observability/index.js';

const read = (file: string) => readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8');

it('docs/errors.md is up to date (npx tsx scripts/docs-errors.ts)', () => {
  expect(read('errors.md')).toBe(renderErrorDocs());
});

it('has every code once', () => {
  const text = renderErrorDocs();
  for (const code of Object.keys(ERROR_CODES)) expect(text.split(`| \`${code}\` |`)).toHaveLength(2);
});

it('docs/operations.md has every metric', async () => {
  const metrics = new Metrics({ version: '1', manager: 'db' });
  const names = (await metrics.registry.getMetricsAsJSON())
    .map(({ name }) => name)
    .filter((name) => name.startsWith('connection_secrets_'));
  expect(names.length).toBeGreaterThan(15);
  const text = read('operations.md');
  for (const name of names) expect(text).toContain(`\`${name}\``);
});
