import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TextSearch } from '../../../src/pipeline/quotes.js';

/** One text after the other, at every place. */
function bySearching(texts: readonly string[], text: string): boolean[] {
  const found = Array.from(text, () => false);
  for (const one of texts)
    for (let at = text.indexOf(one); at !== -1; at = text.indexOf(one, at + 1))
      found.fill(true, at, at + one.length);
  return found;
}

function asFlags(search: TextSearch, text: string): boolean[] {
  const found = Array.from(text, () => false);
  for (const { start, end } of search.find(text)) found.fill(true, start, end);
  return found;
}

const letters = (min: number, max: number) =>
  fc.array(fc.constantFrom('a', 'b'), { minLength: min, maxLength: max }).map((all) => all.join(''));

it('finds every one of many texts that are all alike', () => {
  fc.assert(
    fc.property(fc.array(letters(1, 6), { minLength: 1, maxLength: 8 }), letters(0, 60), (texts, text) => {
      expect(asFlags(new TextSearch(texts), text)).toEqual(bySearching(texts, text));
    }),
    { numRuns: 2_000 },
  );
});

it('of a very long text finds the beginning, and counts what follows as found', () => {
  const search = new TextSearch([`${'k'.repeat(1_024)}rest`]);
  expect(search.find(`see ${'k'.repeat(1_024)}re and more`)).toEqual([{ start: 4, end: 1_039 }]);
  expect(search.find('k'.repeat(1_000))).toEqual([]);
});

it('takes time in proportion to text and texts, also where they differ in their last letter only', () => {
  const secondsFor = (size: number): number => {
    const texts = Array.from(
      { length: size / 100 },
      (_, n) => `${'a'.repeat(90)}${String(n).padStart(10, '0')}`,
    );
    const text = 'a'.repeat(size);
    const startedMs = performance.now();
    expect(new TextSearch(texts).find(text)).toEqual([]);
    return (performance.now() - startedMs) / 1_000;
  };
  secondsFor(10_000);
  expect(secondsFor(160_000) / Math.max(0.005, secondsFor(20_000))).toBeLessThan(40);
});
