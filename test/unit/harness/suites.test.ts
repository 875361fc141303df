import { readdirSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROJECT_DIR } from '../../harness/index.js';
import { filesOf, leftOut, shardOf, SUITES, suitesIn, suitesOf } from '../../suites.js';

const FILES = readdirSync(join(PROJECT_DIR, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `test/${file}`);
const KILLS = 'test/faults/kills.test.ts';

const namesOf = (suites: readonly { readonly name: string }[]): string[] => suites.map(({ name }) => name);

describe('the suites', () => {
  it('have each test file exactly once', () => {
    expect(FILES.filter((file) => suitesOf(file).length !== 1)).toEqual([]);
  });

  it('have it as Vitest is told', () => {
    const told = (file: string): string[] =>
      SUITES.filter((suite) => {
        const { include, exclude } = filesOf(suite);
        const isOf = (patterns: string[]): boolean => patterns.some((one) => matchesGlob(file, one));
        return isOf(include) && !isOf(exclude);
      }).map(({ name }) => name);
    expect(FILES.filter((file) => told(file).join() !== namesOf(suitesOf(file)).join())).toEqual([]);
  });

  it('have files, each of them', () => {
    const used = new Set(FILES.flatMap((file) => namesOf(suitesOf(file))));
    expect(namesOf(SUITES).filter((name) => !used.has(name))).toEqual([]);
  });

  it('leave out a file in another place', () => {
    expect(suitesOf('test/harness/some.test.ts')).toEqual([]);
    expect(suitesOf('test/unitary/some.test.ts')).toEqual([]);
    expect(namesOf(suitesOf(KILLS))).toEqual(['kills']);
  });
});

describe('the tiers', () => {
  it('are together all suites', () => {
    expect(suitesIn('all')).toEqual(SUITES);
    expect(new Set([...suitesIn('quick'), ...suitesIn('faults')])).toEqual(new Set(SUITES));
  });

  it('have no suite twice, except those that are small in the quick one', () => {
    const both = suitesIn('quick').filter((suite) => suitesIn('faults').includes(suite));
    expect(both.every(({ small }) => small !== undefined)).toBe(true);
    expect(namesOf(both)).toEqual(['model', 'fuzz']);
  });

  it('say what they leave out', () => {
    const files = ['test/unit/a.test.ts', 'test/unit/b.test.ts', KILLS];
    expect(leftOut('all', files)).toEqual([]);
    expect(leftOut('quick', files)).toContain('kills (1 file)');
    expect(leftOut('quick', files)).toContain('nine tenths of the fuzzing');
    expect(leftOut('faults', files)).toContain('unit (2 files)');
    expect(leftOut('faults', files)).toContain('the static checks');
  });
});

describe('the files with servers', () => {
  const usesParts = (file: string): boolean =>
    /\b(describeWith|describeEngines|usePart)\(/.test(readFileSync(join(PROJECT_DIR, file), 'utf8'));

  it('are in suites that have them', () => {
    const without = FILES.filter((file) => suitesOf(file).some(({ parts }) => !parts));
    expect(without.filter(usesParts)).toEqual([]);
  });
});

describe('the shards', () => {
  const shards = [1, 2, 3, 4].map((index) => shardOf(FILES, (file) => file, { index, count: 4 }));

  it('have every file once, and the kill matrix each its part of', () => {
    const others = (list: readonly string[]): string[] => list.filter((file) => file !== KILLS);
    expect(others(shards.flat()).toSorted()).toEqual(others(FILES).toSorted());
    expect(shards.every((shard) => shard.includes(KILLS))).toBe(true);
  });

  it('distribute the long files', () => {
    const sizes = shards.map((shard) => shard.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });
});
