// The site of `npm run docs`. VitePress fails on a link to a page that is not there.
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { defineConfig, type MarkdownRenderer } from 'vitepress';
import { sidebarOf } from './sidebar.js';
import { slugOf } from './slug.js';

const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env;
/** Where files that are no pages are shown: known to a build on GitHub. */
const REPOSITORY =
  GITHUB_REPOSITORY === undefined ? null : `${GITHUB_SERVER_URL ?? ''}/${GITHUB_REPOSITORY}/blob/HEAD`;
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** Links to files that are no pages go to the repository. Where that is not known, their text stays without a link. */
function linkFiles(md: MarkdownRenderer): void {
  md.core.ruler.push('link-files', ({ tokens, env }) => {
    const page = (env as { relativePath?: string }).relativePath ?? '';
    for (const { children } of tokens) {
      let isDropped = false;
      for (const token of children ?? []) {
        if (token.type === 'link_close' && isDropped) {
          token.hidden = true;
          [token.type, isDropped] = ['text', false];
        }
        if (token.type !== 'link_open') continue;
        const href = token.attrGet('href') ?? '';
        const path = posix.join('docs', posix.dirname(page), href);
        if (/^(\w+:|#)/.test(href) || (path.startsWith('docs/') && /\.md(#|$)/.test(href))) continue;
        if (REPOSITORY !== null) token.attrSet('href', `${REPOSITORY}/${path}`);
        else [token.type, isDropped] = ['text', true];
      }
    }
  });
}

export default defineConfig({
  title: 'Connection Secrets Worker',
  description: 'Keeps the passwords of a metadata platform in the key management store that you control.',
  outDir: '../.tmp/site',
  cacheDir: '../.cache/vitepress',
  rewrites: { 'README.md': 'index.md' },
  // Two braces are text in these pages, not an expression of Vue.
  vue: { template: { compilerOptions: { delimiters: ['⟦⟦', '⟧⟧'] } } },
  markdown: { anchor: { slugify: slugOf }, config: linkFiles },
  themeConfig: { search: { provider: 'local' }, outline: [2, 3], sidebar: sidebarOf(readme).map(asSidebar) },
});

function asSidebar({ text, items }: ReturnType<typeof sidebarOf>[number]) {
  return { text, items: [...items] };
}
