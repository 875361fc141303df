import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatStatement } from '../../../src/database/mysql-driver.js';

/** Reads a literal back without knowing any setting: quotes hold plain characters only. */
function readLiteral(literal: string): string {
  const quoted = /^'([ -&(-[\]-~]*)'$/.exec(literal);
  if (quoted !== null) return quoted[1] ?? '';
  const digits = /^_utf8mb4 X'((?:[0-9a-f]{2})+)'$/.exec(literal);
  if (digits === null) throw new Error('neither of the two forms');
  return Buffer.from(digits[1] ?? '', 'hex').toString();
}

describe('a statement for MySQL', () => {
  it('holds every text in a form that no sql_mode and no character set reads otherwise', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 5 }),
        (texts) => {
          const sql = `VALUES (${texts.map(() => '?').join(' <> ')})`;
          const statement = formatStatement(sql, texts);
          expect(statement).toMatch(/^[ -~]*$/);
          expect(statement).not.toContain('\\');
          const literals = texts.map((text) => formatStatement('?', [text]));
          expect(statement).toBe(`VALUES (${literals.join(' <> ')})`);
          expect(literals.map(readLiteral)).toEqual(texts.map((text) => text.toWellFormed()));
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([`'`, `\\`, `\\'`, `x' OR '1'='1`, 'plain text; -- #', '"`%_?'])(
    'holds %s the same way',
    (text) => {
      expect(readLiteral(formatStatement('?', [text]))).toBe(text);
    },
  );

  it.each([
    [null, 'NULL'],
    [undefined, 'NULL'],
    [true, '1'],
    [false, '0'],
    [-1.5, '-1.5'],
    [9_007_199_254_740_991, '9007199254740991'],
  ])('%s is %s', (value, text) => {
    expect(formatStatement('?', [value])).toBe(text);
  });

  it.each([[{ a: 1 }], [['a']], [Number.NaN], [Infinity], [Symbol('x')]])(
    'refuses what is no value: %s',
    (value) => {
      expect(() => formatStatement('?', [value])).toThrow(TypeError);
    },
  );

  it.each([
    ['? ?', ['a']],
    ['?', ['a', 'b']],
  ])('refuses %s with %j', (sql, values) => {
    expect(() => formatStatement(sql, values)).toThrow(TypeError);
  });
});
