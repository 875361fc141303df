import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { escapeKey, parsePath } from '../../../src/catalog/json-path.js';
import { formatPointer, parsePointer, readAt, withValues } from '../../../src/catalog/index.js';
import type { Catalogue, FindTarget, FoundField, JsonPath } from '../../../src/catalog/index.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import { finderOf, service } from './support.js';

const RUNS = 400;
/** One in eight has fields: so many that chance does not come down to one in ten. */
const MANY_RUNS = 4_000;

const keys = fc.oneof(
  fc.constantFrom(
    'name',
    'type',
    'a',
    'b',
    'password',
    'token',
    'apiKey',
    'value',
    '__proto__',
    'constructor',
    '0',
    'x.y',
    '*',
  ),
  fc.string({ maxLength: 6, unit: 'binary' }),
);
const texts = fc.oneof(
  fc.constantFrom(
    'Ours',
    'Mysql',
    '',
    'true',
    '*********',
    'https://u:p@h',
    'secret:/x/y',
    'plain',
    'PWD=x;',
  ),
  fc.string({ maxLength: 8, unit: 'binary' }),
);
const { json } = fc.letrec<{ json: Json; object: JsonObject }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    texts,
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.array(tie('json'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc
    .array(fc.tuple(keys, tie('json')), { maxLength: 5 })
    // By way of JSON, as events come: `__proto__` is an own member then.
    .map((members) => JSON.parse(textOf(members)) as JsonObject),
}));
const textOf = (members: readonly [string, Json][]): string =>
  `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;

const catalogues: fc.Arbitrary<Catalogue> = fc
  .array(
    fc
      .array(fc.oneof(fc.constant('*'), keys.filter((key) => key !== '').map(escapeKey)), {
        minLength: 1,
        maxLength: 4,
      })
      .map((path) => path.join('.')),
    { maxLength: 6 },
  )
  .map((paths) => ({
    format: 1,
    provenance: { source: 'a test', licence: 'none', versions: [] },
    connectors: { 'database/ours': paths },
    entities: {},
  }));

/** What the finder finds; null where it refuses the entity (numbers and objects under secret keys). */
function found(catalogue: Catalogue, target: FindTarget): readonly FoundField[] | null {
  try {
    return finderOf({}, catalogue).find(target).fields;
  } catch {
    return null;
  }
}

/** Every leaf with its pointer, in order: an independent look at an entity. */
function leaves(value: Json, path: (string | number)[] = []): [string, Json][] {
  if (value === null || typeof value !== 'object') return [[formatPointer(path), value]];
  const members: [string | number, Json][] = Array.isArray(value)
    ? value.map((v, i) => [i, v])
    : Object.entries(value);
  if (members.length === 0) return [[formatPointer(path), Array.isArray(value) ? '[]' : '{}']];
  return members.flatMap(([key, member]) => leaves(member, [...path, key]));
}

describe('any entity under any catalogue', () => {
  const cases = fc.tuple(catalogues, json);

  it('differs, once its fields are replaced, at these fields only, and the original is untouched', () => {
    let withFields = 0;
    fc.assert(
      fc.property(cases, ([catalogue, config]) => {
        const target = service('database', 'Ours', config);
        const before = JSON.stringify(target.entity);
        const fields = found(catalogue, target);
        if (fields === null) return;
        if (fields.length > 0) withFields += 1;
        const pointers = new Set(fields.map((field) => field.pointer));
        expect(pointers.size).toBe(fields.length);
        const out = withValues(
          target.entity,
          fields.map((field, at) => [field.path, `secret:/field/${at}`]),
        );
        expect(JSON.stringify(target.entity)).toBe(before);
        const [was, is] = [leaves(target.entity), leaves(out)];
        expect(is.map(([pointer]) => pointer)).toEqual(was.map(([pointer]) => pointer));
        is.forEach(([pointer, value], at) => {
          if (pointers.has(pointer)) expect(value).toMatch(/^secret:\/field\//);
          else expect(value).toEqual(was[at]?.[1]);
        });
      }),
      { numRuns: MANY_RUNS },
    );
    expect(withFields).toBeGreaterThan(MANY_RUNS / 10);
  });

  it('has the same fields, under the same names, when its output comes in again', () => {
    fc.assert(
      fc.property(cases, ([catalogue, config]) => {
        const target = service('database', 'Ours', config);
        const fields = found(catalogue, target);
        if (fields === null) return;
        const replaced = fields.filter((field) => field.value !== null && field.value !== '');
        const entity = withValues(
          target.entity,
          replaced.map((field, at) => [field.path, `secret:/field/${at}`]),
        );
        const again = found(catalogue, { ...target, entity }) ?? [];
        const names = (list: readonly FoundField[]): string[] =>
          list.map((field) => formatPointer(field.keyPath)).sort();
        expect(names(again)).toEqual(names(fields));
      }),
      { numRuns: RUNS },
    );
  });

  it('names each field so that path, pointer and value agree', () => {
    fc.assert(
      fc.property(cases, ([catalogue, config]) => {
        const target = service('database', 'Ours', config);
        for (const field of found(catalogue, target) ?? []) {
          expect(readAt(target.entity, field.path)).toBe(field.value);
          expect(formatPointer(field.path)).toBe(field.pointer);
          expect(parsePointer(field.pointer)).toEqual(field.path.map(String));
          expect(field.keyPath).toHaveLength(field.path.length);
        }
      }),
      { numRuns: RUNS },
    );
  });
});

describe('paths and pointers', () => {
  it('writes and reads any key', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1 }), (path) => {
        expect(parsePath(path.map(escapeKey).join('.'))).toEqual(path);
        expect(parsePointer(formatPointer(path))).toEqual(path);
      }),
    );
  });

  it.each(['', '.', 'a.', '.a', 'a..b', '[]', 'a.[]', 'a\\'])('%j is not a path', (text) => {
    expect(parsePath(text)).toBeNull();
  });

  it('reads the examples of RFC 6901', () => {
    expect(['', '/foo', '/foo/0', '/', '/a~1b', '/m~0n', '/ '].map(parsePointer)).toEqual([
      [],
      ['foo'],
      ['foo', '0'],
      [''],
      ['a/b'],
      ['m~n'],
      [' '],
    ]);
    expect(['foo', '/a~2b', '/~'].map(parsePointer)).toEqual([null, null, null]);
  });
});

describe('withValues', () => {
  const paths = (...list: JsonPath[]): [JsonPath, Json][] => list.map((path, at) => [path, at]);

  it('keeps the order of keys, prototype keys and objects without a prototype', () => {
    const entity = JSON.parse('{"b": 1, "__proto__": {"x": 2, "y": [3, {"z": 4}]}, "a": {}}') as JsonObject;
    const out = withValues(entity, paths(['__proto__', 'y', 1, 'z'], ['b']));
    expect(JSON.stringify(out)).toBe('{"b":1,"__proto__":{"x":2,"y":[3,{"z":0}]},"a":{}}');
    expect(Object.getPrototypeOf(out)).toBe(Object.prototype);
    const bare = Object.assign(Object.create(null) as JsonObject, { a: 'b' });
    expect(Object.getPrototypeOf(withValues(bare, []))).toBeNull();
  });

  it('replaces whole objects and arrays too', () => {
    expect(withValues({ a: { b: 1 }, c: [1, 2] }, paths(['a'], ['c', 1]))).toEqual({ a: 0, c: [1, 1] });
  });

  it('refuses paths that do not exist, come twice, or mean the whole entity', () => {
    expect(() => withValues({ a: 'hunter2' }, paths(['a', 'b']))).toThrow('not there: /a/b.');
    expect(() => withValues({ a: 1 }, paths(['a'], ['a']))).toThrow('replace a value twice');
    expect(() => withValues({ a: 1 }, paths([]))).toThrow('the whole entity');
  });

  it('takes any depth', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`) as JsonObject;
    const path = new Array<string>(10_000).fill('a');
    expect(readAt(withValues(deep, [[path, 'x']]), path)).toBe('x');
  });
});
