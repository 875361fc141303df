import fc from 'fast-check';
import { LIMITS } from '../../../src/limits.js';
import { describe, expect, it } from 'vitest';
import { EventError } from '../../../src/errors.js';
import { parseJson, isExactNumber } from '../../../src/events/json.js';

const MOST = LIMITS.jsonValues;

function refusal(input: Buffer | string): [code: string, field: string | null, message: string] {
  try {
    parseJson(typeof input === 'string' ? Buffer.from(input) : input);
  } catch (error) {
    if (error instanceof EventError) return [error.code, error.field, error.message];
    throw error;
  }
  throw new Error('accepted');
}

describe('parseJson', () => {
  it('reads what JSON.parse reads, whatever the white space', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.constantFrom(0, 1, '\t'), (text, indent) => {
        const value: unknown = JSON.parse(text);
        expect(parseJson(Buffer.from(JSON.stringify(value, null, indent)))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('skips a byte order mark', () => {
    expect(parseJson(Buffer.from('\ufeff{"a":1}'))).toEqual({ a: 1 });
  });

  it.each([
    ['not UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22])],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le')],
    ['cut off', '{"a": "marker'],
    ['trailing text', '{} marker'],
    ['a comment', '{/* marker */}'],
    ['a leading zero', '{"a":01}'],
    ['NaN', '[NaN]'],
    ['a raw line break in a string', '"a\nb"'],
    ['nothing but white space', '  '],
    ['brackets that do not match', '}{'],
  ])('refuses %s without quoting it', (_, input) => {
    const [code, , message] = refusal(input);
    expect(code).toBe('EVENT_NOT_DECODABLE');
    expect(message).not.toContain('marker');
  });

  it('refuses a text over the size limit', () => {
    expect(() => parseJson('"1234"', { maxDepth: 5, maxValues: 5, maxBytes: 5 })).toThrow('more than 5');
  });

  it.each([
    ['numbers in an array', `[${'0,'.repeat(MOST - 1)}0]`],
    ['empty arrays', `[${'[],'.repeat(MOST / 2 - 1)}[]]`],
    ['members of objects', `[${'{"":0},'.repeat(MOST / 2 - 1)}{"":0}]`],
    ['commas alone', ','.repeat(MOST + 1)],
  ])('refuses a text with too many values, before they are made: %s', (_, text) => {
    expect(refusal(text)[0]).toBe('EVENT_TOO_LARGE');
    expect(refusal(text)[2]).toContain(`more than ${MOST} values`);
  });

  it('takes as many values as the limit allows', () => {
    expect(parseJson(`[${'0,'.repeat(MOST - 2)}0]`)).toHaveLength(MOST - 1);
  });

  it.each([
    ['9007199254740993', false],
    ['9007199254740992', true],
    ['12345678901234567890', false],
    ['12345678901234567000', true],
    ['-9007199254740993.0', false],
    ['0.1', true],
    ['1.0', true],
    ['1e2', true],
    ['1E+2', true],
    ['-0', true],
    ['0e999', true],
    ['1e400', false],
    ['-1e400', false],
    ['1e-400', false],
    ['5e-324', true],
    ['4e-324', false],
    ['1.7976931348623157e308', true],
    ['0.1000000000000000055511151231257827', false],
    ['3.14159265358979323846', false],
    ['1' + '0'.repeat(300), true],
    ['0.' + '0'.repeat(5000) + '1', false],
  ])('holds %s exactly: %s', (text, exact) => {
    expect(isExactNumber(text)).toBe(exact);
  });

  it('accepts every double as JavaScript writes it', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (n) => isExactNumber(String(n))),
    );
  });

  it('takes linear time for a long row of digits', () => {
    const started = performance.now();
    expect(isExactNumber('0.' + '0'.repeat(2_000_000) + '1')).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('names the place of an inexact number', () => {
    const [code, field] = refusal('{"a": {"x/y~z": [1, {"b": [0, 9007199254740993]}]}}');
    expect([code, field]).toEqual(['NUMBER_NOT_EXACT', '/a/x~1y~0z/1/b/1']);
  });

  it('does not mistake digits in strings and keys for numbers', () => {
    expect(parseJson('{"9007199254740993": "\\"9007199254740993, 1e999"}')).toEqual({
      '9007199254740993': '"9007199254740993, 1e999',
    });
  });

  it.each([
    ['{"a":1,"a":1}', '/a'],
    ['{"a":{"b":1,"\\u0062":2}}', '/a/b'],
    ['[{"__proto__":1,"__proto__":1}]', '/0/__proto__'],
  ])('refuses the duplicate key in %s', (text, at) => {
    expect(refusal(text).slice(0, 2)).toEqual(['EVENT_INVALID', at]);
  });

  it('allows the same key in different objects', () => {
    expect(parseJson('[{"a":{"a":1}},{"a":2}]')).toEqual([{ a: { a: 1 } }, { a: 2 }]);
  });

  it.each([
    ['{"a":["\\ud800"]}', '/a/0'],
    ['{"a":"x\\uDC00\\uD800y"}', '/a'],
    ['{"b":{"\\udfff":1}}', '/b'],
  ])('refuses the lone surrogate in %s', (text, at) => {
    expect(refusal(text).slice(0, 2)).toEqual(['EVENT_INVALID', at]);
  });

  it('keeps surrogate pairs and escaped backslashes', () => {
    expect(parseJson('["\\ud83d\\ude00", "\\\\ud800", "\\\\"]')).toEqual(['😀', '\\ud800', '\\']);
  });

  it('makes __proto__ and constructor ordinary members', () => {
    const value = parseJson('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(JSON.stringify(value)).toContain('"__proto__":{"polluted":1}');
  });

  it.each([
    ['arrays', '['.repeat(10_000) + ']'.repeat(10_000)],
    ['objects', '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000)],
    ['arrays that are not closed', '['.repeat(2_000_000)],
  ])('refuses 10,000 and more levels of %s', (_, text) => {
    expect(refusal(text)[0]).toBe('EVENT_TOO_DEEP');
  });

  it('accepts exactly 200 levels', () => {
    expect(() => parseJson('['.repeat(200) + ']'.repeat(200))).not.toThrow();
    expect(refusal('['.repeat(201) + ']'.repeat(201))[0]).toBe('EVENT_TOO_DEEP');
  });

  it('shortens a pointer of a very long key and keeps it on one line', () => {
    const [, field] = refusal(`{"${'k'.repeat(1_000_000)}\\n": {"a": 1e999}}`);
    expect(field?.length).toBeLessThan(400);
    expect(field).not.toContain('\n');
  });
});
