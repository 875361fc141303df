import { existsSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { isRule } from '../model/rules.js';
import { parsed, placeOf, readSources, without, type Sources } from '../mutations/place.js';
import { MUTATIONS } from '../mutations/rules.js';
import { PROJECT_DIR } from '../harness/cache.js';

const SOURCES = readSources(PROJECT_DIR);

/** All of the source in other files, as another formatter would have it, with other comments. */
function reformatted(): Sources {
  const printer = ts.createPrinter({ removeComments: true });
  return new Map(
    [...SOURCES].map(([file, source]) => {
      const printed = printer.printFile(source);
      const commented = printed.replace(/[;{]$/gm, '$& // Said in other words, with "quotes".\n');
      return [`moved/${file}`, parsed(`moved/${file}`, commented)];
    }),
  );
}

/** `npm run test:mutations` takes minutes; that it still fits the source is seen here. */
describe('the mutations', () => {
  it.each(MUTATIONS)('$rule: its code stands in $inside exactly once', (mutation) => {
    const { file, start, end } = placeOf(mutation, SOURCES);
    const code = SOURCES.get(file)?.text.slice(start, end);
    expect(code).not.toBe(mutation.instead);
    for (const test of mutation.tests) expect(existsSync(join(PROJECT_DIR, test)), test).toBe(true);
    expect(mutation.model === null || isRule(mutation.model.rule)).toBe(true);
  });

  it('are found whatever the format, the comments and the file', () => {
    const moved = reformatted();
    for (const mutation of MUTATIONS) expect(placeOf(mutation, moved).file).toMatch(/^moved/);
  });

  it('a rule whose place is gone, or there twice, is named', () => {
    const [mutation] = MUTATIONS;
    if (mutation === undefined) throw new Error('there is no rule');
    const { rule, inside } = mutation;
    const place = placeOf(mutation, SOURCES);
    const source = SOURCES.get(place.file);
    if (source === undefined) throw new Error(`there is no ${place.file}`);
    const gone = new Map(SOURCES).set(place.file, parsed(place.file, without(mutation, place, source)));
    expect(() => placeOf(mutation, gone)).toThrow(
      `${rule}: \`${inside}\` has its code 0 times instead of once`,
    );
    const twice = new Map(SOURCES).set('src/copy.ts', source);
    expect(() => placeOf(mutation, twice)).toThrow('2 times instead of once');
  });

  it.each([
    'inbox check',
    'reused event id',
    'order check',
    'order per field',
    'claim check before a write',
    'claim check before a publish',
    'epoch at commit',
    'epoch in the token',
    '`writing` rule',
    'suspect: what was given up',
    'suspect',
    'watermark',
    'order of effects',
    'relay',
    'owner tag check',
    'janitor’s claim',
    'token binding',
    'installation tag',
    'installation marker',
    'row digest',
    'reference judge',
    'squat check',
    'mask definition',
    'entity type change',
    'sealed values only',
    'mask on a new endpoint',
    'texts in statements',
    'texts come back',
    'files are their owner’s',
  ])('take out the rule: %s', (rule) => {
    expect(MUTATIONS.filter((mutation) => mutation.rule.startsWith(rule))).not.toEqual([]);
  });
});
