import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EventError } from '../../../src/errors.js';
import { buildSecretId, cleanSegment, createSecretIdBuilder } from '../../../src/ids/index.js';
import type { IdStyle } from '../../../src/secrets-managers/port.js';
import { randomName, seededRandom } from './random-names.js';

interface Vector {
  readonly style: IdStyle;
  readonly prefix: string;
  readonly cluster: string;
  readonly parts: [string, string];
  readonly field: string;
  readonly expected: string;
}
const { vectors } = JSON.parse(readFileSync(new URL('./data/vectors.json', import.meta.url), 'utf8')) as {
  vectors: Vector[];
};

const base = { prefix: '', cluster: 'openmetadata', kind: 'database' } as const;
const idOf = (style: IdStyle, entityName: string, ...fieldPath: string[]): string =>
  buildSecretId({ ...base, style, entityName, fieldPath });

describe('the vectors', () => {
  it('are all there', () => {
    expect(vectors.length).toBe(16);
  });
  it.each(vectors)(
    '$style $expected',
    ({ style, prefix, cluster, parts: [kind, entityName], field, expected }) => {
      const fieldPath = field === '' ? [] : field.split('.');
      expect(buildSecretId({ style, prefix, cluster, kind, entityName, fieldPath })).toBe(expected);
    },
  );
});

describe('cleaning', () => {
  it.each([
    ['slash', 'İ', '_'],
    ['slash', '\u212a', '_'], // the Kelvin sign, which lower-cases to an ASCII k
    ['slash', '😀a', '_a'],
    ['slash', '\ud800', '_'],
    ['slash', 'e\u0301', 'e_'],
    ['slash', 'A.b/C', 'a_b/c'],
    ['azure', 'A_b.C-d😀', 'abc-d'],
    ['gcp', 'A-b.C_d', 'abc_d'],
    ['kubernetes', 'a_B', 'a-b'],
  ] as const)('%s: %s is %s', (style, text, expected) => {
    expect(cleanSegment(style, text)).toBe(expected);
  });

  it('keeps a key one segment: its dots are no levels', () => {
    expect(idOf('slash', 'x', 'sasl.jaas.config')).toBe('/openmetadata/database/x/sasl_jaas_config');
  });

  it.each([
    ['slash', ''],
    ['slash', '/'],
    ['azure', '___'],
    ['azure', '日本'],
    ['gcp', '--'],
    ['kubernetes', '日本'],
    ['kubernetes', '-'],
  ] as const)('%s refuses %j as a name and as a key', (style, text) => {
    for (const build of [() => idOf(style, text, 'password'), () => idOf(style, 'name', 'a', text)]) {
      expect(build).toThrow(EventError);
      expect(build).toThrow(expect.objectContaining({ code: 'SECRET_ID_INVALID' }));
    }
  });

  it('cuts Kubernetes names at 253 characters and trims again', () => {
    const length = 252 - '/openmetadata-database-'.length + 1;
    const id = idOf('kubernetes', 'a'.repeat(length), 'password');
    expect(id).toBe(`openmetadata-database-${'a'.repeat(length)}`);
    expect(idOf('kubernetes', 'a'.repeat(400)).length).toBe(253);
  });
});

describe('a second implementation, written from the design alone', () => {
  const table = {
    slash: { separator: '/', leading: true, keep: /[A-Za-z0-9/_-]/, other: '_' },
    azure: { separator: '-', leading: false, keep: /[A-Za-z0-9-]/, other: '' },
    gcp: { separator: '_', leading: false, keep: /[A-Za-z0-9_]/, other: '' },
    kubernetes: { separator: '-', leading: false, keep: /[A-Za-z0-9]/, other: '-' },
  };

  function second(style: IdStyle, prefix: string, name: string, path: string[]): string | null {
    const { separator, leading, keep, other } = table[style];
    const clean = (text: string): string =>
      [...text].map((character) => (keep.test(character) ? character : other)).join('');
    const parts = ['database', name, ...path].map(clean);
    const nothing = (text: string): boolean =>
      style === 'kubernetes'
        ? text.replaceAll('-', '') === ''
        : text.replaceAll(style === 'slash' ? '/' : '', '') === '';
    if (parts.some(nothing)) return null;
    const scope = leading && prefix !== '' ? `${prefix}${separator}om` : `${prefix}om`;
    let id = (leading ? separator : '') + [scope, ...parts].join(separator);
    if (style === 'kubernetes') {
      id = id
        .split('-')
        .filter((part) => part !== '')
        .join('-')
        .slice(0, 253);
      if (id.endsWith('-')) id = id.slice(0, -1);
    }
    return id.toLowerCase();
  }

  it.each(['slash', 'azure', 'gcp', 'kubernetes'] as const)(
    'agrees on 100,000 random names: %s',
    (style) => {
      const random = seededRandom(20240607);
      let refused = 0;
      for (let round = 0; round < 100_000; round += 1) {
        const prefix = round % 3 === 0 ? 'Team' : '';
        const name = randomName(random);
        const path = Array.from({ length: round % 4 }, () => randomName(random));
        const expected = second(style, prefix, name, path);
        let actual: string | null;
        try {
          actual = buildSecretId({
            style,
            prefix,
            cluster: 'om',
            kind: 'database',
            entityName: name,
            fieldPath: path,
          });
        } catch (error) {
          if (!(error instanceof EventError)) throw error;
          actual = null;
          refused += 1;
        }
        if (actual !== expected) expect({ name, path, id: actual }).toEqual({ name, path, id: expected });
      }
      expect(refused).toBeGreaterThan(100);
    },
    60_000,
  );
});

it('the builder gives the same ids, and they begin with its own prefix', () => {
  const builder = createSecretIdBuilder({
    idStyle: 'slash',
    strict: false,
    prefix: 'Team',
    cluster: 'Prod',
    maxIdLength: 512,
  });
  expect(builder.ownPrefix).toBe('/team/prod/');
  expect(builder.build('bot', 'b', ['config', 'JWTToken'])).toBe('/team/prod/bot/b/config/jwttoken');
});
