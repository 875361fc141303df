import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import MiniSearch from 'minisearch';
import { describe, expect, it } from 'vitest';
import { PROJECT_DIR } from '../../harness/index.js';

interface Question {
  readonly question: string;
  /** What somebody types into the search field. */
  readonly words: string;
  readonly page: string;
}
const QUESTIONS = JSON.parse(
  readFileSync(join(import.meta.dirname, 'data', 'questions.json'), 'utf8'),
) as Record<string, Question[]>;
/** Pages that a reader sees without scrolling. */
const SEEN = 3;

/** Sections of a page, each with its heading and those above it, as the search of the site has them. */
function sectionsOf(page: string): { id: string; title: string; titles: string[]; text: string }[] {
  const text = readFileSync(join(PROJECT_DIR, 'docs', `${page}.md`), 'utf8');
  const above: string[] = [];
  return text.split(/^(?=#{1,6} )/m).flatMap((section, at) => {
    const [, hashes = '', title = ''] = /^(#+) (.*)/.exec(section) ?? [];
    if (hashes === '') return [];
    above.splice(hashes.length - 1);
    const titles = [...above];
    above.push(title);
    return [{ id: `${page}#${at}`, title, titles, text: section.slice(section.indexOf('\n')) }];
  });
}

const search = new MiniSearch({
  fields: ['title', 'titles', 'text'],
  // As VitePress has it.
  searchOptions: { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 1 } },
});
search.addAll(
  readdirSync(join(PROJECT_DIR, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => sectionsOf(name.slice(0, -'.md'.length))),
);

function pagesFor(words: string): string[] {
  const pages = search.search(words).map(({ id }) => String(id).replace(/#.*/, ''));
  return [...new Set(pages)].slice(0, SEEN);
}

describe.each(Object.entries(QUESTIONS))('the questions of each %s', (_, questions) => {
  it('are ten', () => {
    expect(questions).toHaveLength(10);
  });

  it.each(questions)('are answered by a page that the search finds: $question', ({ words, page }) => {
    expect(pagesFor(words)).toContain(page);
  });
});

it('words that stand in no page find none', () => {
  expect(pagesFor('xylophone')).toEqual([]);
});
