import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sidebarOf } from '../../../docs/.vitepress/sidebar.js';
import { slugOf } from '../../../docs/.vitepress/slug.js';
import { PROJECT_DIR } from '../../harness/index.js';

const FOLDERS = ['.', 'docs', 'examples', 'packages', 'test'];
const pagesIn = (folder: string): string[] =>
  readdirSync(join(PROJECT_DIR, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !/(^|\/)(node_modules|dist)\//.test(name))
    .map((name) => join(folder, name));
const PAGES = [...new Set(FOLDERS.flatMap(pagesIn))];

/** What readers see as text: no code, fenced or in a line. */
const proseOf = (page: string): string =>
  readFileSync(join(PROJECT_DIR, page), 'utf8')
    .replace(/^```.*?^```$/gms, '')
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[()[\]]/g, ' '));

function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} (.*)$/gm)) {
    const slug = slugOf(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    let unique = slug;
    for (let count = 1; anchors.has(unique); count += 1) unique = `${slug}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

function brokenLinks(page: string): string[] {
  const links = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : join(dirname(page), path);
    if (!existsSync(join(PROJECT_DIR, target))) return true;
    return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).has(anchor);
  });
}

describe('the links of the pages', () => {
  it.each(PAGES)('%s leads to files and headings that are there', (page) => {
    expect(brokenLinks(page)).toEqual([]);
  });

  it('are read as GitHub reads them', () => {
    expect(slugOf("Is it there? `verify --repair`, the store's")).toBe(
      'is-it-there-verify---repair-the-stores',
    );
  });
});

describe('the navigation', () => {
  it('has every page of docs/ once', () => {
    const listed = sidebarOf(readFileSync(join(PROJECT_DIR, 'docs/README.md'), 'utf8')).flatMap(({ items }) =>
      items.map(({ link }) => `docs${link}.md`),
    );
    const pages = pagesIn('docs').filter((page) => page !== 'docs/README.md');
    expect(listed.toSorted()).toEqual(pages.map((page) => relative('.', page)).toSorted());
    for (const page of listed) expect(statSync(join(PROJECT_DIR, page)).isFile()).toBe(true);
  });
});
