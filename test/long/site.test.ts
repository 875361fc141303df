import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { sidebarOf } from '../../docs/.vitepress/sidebar.js';
import { PROJECT_DIR, tmpDir } from '../harness/index.js';
import { runCommand } from '../harness/run-command.js';

describe('the site of the documentation', () => {
  const site = tmpDir('site');
  beforeAll(async () => {
    const tool = join(PROJECT_DIR, 'node_modules', 'vitepress', 'bin', 'vitepress.js');
    const env = { ...process.env, GITHUB_SERVER_URL: 'https://git.example', GITHUB_REPOSITORY: 'a/b' };
    await runCommand(process.execPath, [tool, 'build', 'docs', '--outDir', site], { cwd: PROJECT_DIR, env });
  });
  const html = (page: string): string => readFileSync(join(site, `${page}.html`), 'utf8');

  it('has each page, in its navigation', () => {
    const index = html('index');
    const groups = sidebarOf(readFileSync(join(PROJECT_DIR, 'docs', 'README.md'), 'utf8'));
    for (const { link } of groups.flatMap(({ items }) => items)) {
      expect(existsSync(join(site, `${link}.html`)), link).toBe(true);
      expect(index).toContain(`href="${link}.html"`);
    }
  });

  it('links what is no page to the repository', () => {
    expect(html('architecture')).toContain('href="https://git.example/a/b/blob/HEAD/src/terms.ts"');
    expect(html('index')).toContain('href="https://git.example/a/b/blob/HEAD/docs/asyncapi.yaml"');
  });

  it('shows two braces as they are', () => {
    expect(html('providers/aws-ssm')).toContain('<code>{{</code>');
  });

  it('can be searched', () => {
    const chunks = readdirSync(join(site, 'assets', 'chunks'));
    expect(chunks.some((name) => name.includes('localSearchIndex'))).toBe(true);
  });
});
