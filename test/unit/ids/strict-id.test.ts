import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigurationError, EventError } from '../../../src/errors.js';
import { createSecretIdBuilder, type SecretIdBuilder } from '../../../src/ids/index.js';
import type { IdStyle } from '../../../src/secrets-managers/port.js';
import { randomName, seededRandom } from './random-names.js';

/** 100,000 names take two seconds on an idle machine. */
const LONG_MS = 60_000;
const STYLES = ['slash', 'azure', 'gcp', 'kubernetes'] as const;
const ALPHABETS: Record<IdStyle, RegExp> = {
  slash: /^(\/[a-z0-9_-]+)+$/,
  azure: /^[a-z0-9]+(-[a-z0-9]+)*$/,
  gcp: /^[a-z0-9]+(_[a-z0-9]+)*$/,
  kubernetes: /^[a-z0-9]+(-[a-z0-9]+)*$/,
};

function strict(idStyle: IdStyle, maxIdLength = 10_000, maxIdLevels?: number): SecretIdBuilder {
  const options = { idStyle, strict: true, prefix: '', cluster: 'openmetadata', maxIdLength };
  return createSecretIdBuilder(maxIdLevels === undefined ? options : { ...options, maxIdLevels });
}

/** Undoes the encoding as its documentation describes it. */
function decode(style: IdStyle, ownPrefix: string, id: string): string[] {
  const separator = { slash: '/', azure: '-', gcp: '_', kubernetes: '-' }[style];
  const escape = style === 'slash' ? '_' : 'q';
  const token = new RegExp(
    `${escape}${escape}([a-z])|${escape}u([0-9a-f]+)${escape}|${escape}([0-9a-f]{2})|${escape}(i)`,
    'g',
  );
  return id
    .slice(ownPrefix.length)
    .split(separator)
    .slice(1)
    .map((segment) =>
      segment.replace(token, (_, capital?: string, long?: string, short?: string, owner?: string) => {
        if (capital !== undefined) return capital.toUpperCase();
        if (owner !== undefined) return '<owner>';
        return String.fromCodePoint(Number.parseInt(long ?? short ?? '', 16));
      }),
    );
}

describe('strict ids', () => {
  it('are readable if names are plain', () => {
    const { build } = strict('slash');
    expect(build('database', 'mysql-test', ['authType', 'password'])).toBe(
      '/openmetadata/database/mysql_2dtest/auth__type/password'.replace('_2d', '-'),
    );
    expect(build('database', 'My_Svc.日/é', [])).toBe('/openmetadata/database/__my_5f__svc_2e_u65e5__2f_e9');
    expect(build('bot', 'b', [], '0a-1')).toBe('/openmetadata/bot/b_i0a-1');
  });

  it.each(STYLES)(
    '%s: can be undone, so no two names share an id (100,000 random ones)',
    (style) => {
      const builder = strict(style);
      const random = seededRandom(4711);
      const seen = new Map<string, string>();
      let different = 0;
      for (let round = 0; round < 100_000; round += 1) {
        const names = Array.from({ length: 1 + (round % 3) }, () => randomName(random));
        const [name = '', ...path] = names;
        const id = builder.build('database', name, path);
        const key = JSON.stringify(names);
        const other = seen.get(id);
        if (other === undefined) different += 1;
        else if (other !== key) expect.fail(`${other} and ${key} share ${id}`);
        seen.set(id, key);
        if (round % 20 === 0 && id.length <= 127) expect(decode(style, builder.ownPrefix, id)).toEqual(names);
      }
      expect(different).toBeGreaterThan(40_000);
    },
    LONG_MS,
  );

  it.each(STYLES)(
    '%s: any two names of any characters',
    (style) => {
      const { build } = strict(style);
      const names = fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(names, names, (left, right) => {
          const [a = '', ...aPath] = left;
          const [b = '', ...bPath] = right;
          const same = JSON.stringify(left) === JSON.stringify(right);
          expect(build('database', a, aPath) === build('database', b, bPath)).toBe(same);
          expect(build('database', a, aPath)).toMatch(ALPHABETS[style]);
        }),
        { numRuns: 300 },
      );
    },
    LONG_MS,
  );

  it.each(STYLES)('%s: gives different ids to names that the lossy styles mix up', (style) => {
    const { build, ownPrefix } = strict(style);
    const ids = [
      build('database', 'My Svc', ['a']),
      build('database', 'my_svc', ['a']),
      build('database', 'my-svc', ['a']),
      build('database', 'a', ['b', 'c']),
      build('database', 'a', ['b/c']),
      build('database', 'a', ['b.c']),
      build('database', 'a/b', ['c']),
      build('database', 'e\u0301', ['c']),
      build('database', '\u00e9', ['c']),
      build('database', '\ud800', ['c']),
      build('database', '\ud801', ['c']),
      build('database', '日本', []),
      build('database', '本日', []),
      build('pipeline', 'nightly', ['a'], 'id-1'),
      build('pipeline', 'nightly', ['a'], 'id-2'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    const separator = ownPrefix.slice(-1);
    for (const id of ids) expect(id).toMatch(new RegExp(`^${ownPrefix}(database|pipeline)${separator}`));
  });

  it('ends a long id in a hash of the whole id, within the limit and the alphabet', () => {
    for (const style of STYLES) {
      const { build } = strict(style, 120);
      const long = 'x'.repeat(300);
      const ids = [
        build('database', `${long}a`, ['password']),
        build('database', `${long}b`, ['password']),
        build('database', long, ['password']),
        build('database', long, ['Password']),
        build('database', 'short', [long]),
      ];
      expect(new Set(ids).size).toBe(ids.length);
      for (const id of ids) {
        expect(id.length).toBeLessThanOrEqual(120);
        expect(id).toMatch(ALPHABETS[style]);
      }
    }
  });

  it('no name can be chosen whose uncut id is another one’s cut id', () => {
    // Wherever the cut falls within an escape, the text before the hash consists of whole escapes.
    for (let length = 1; length < 20; length += 1) {
      const { build } = strict('slash', 120);
      const id = build('database', `${'x'.repeat(length)}${'日A_'.repeat(60)}`, []);
      const [, kept = '', hash = ''] = /^\/openmetadata\/database\/(.*)_h([0-9a-f]{64})$/.exec(id) ?? [];
      expect(hash).toHaveLength(64);
      expect(kept).toMatch(/^(?:[a-z0-9-]|__[a-z]|_[0-9a-f]{2}|_u[0-9a-f]+_)*$/);
      const whole = strict('slash').build('database', `${'x'.repeat(length)}${'日A_'.repeat(60)}`, []);
      expect(whole.length).toBeLessThan(2000);
    }
  });

  it('keeps within the levels that a store counts', () => {
    const { build } = strict('slash', 512, 6);
    const path = (last: string): string[] => ['a', 'b', 'c', 'd', 'e', 'f', last];
    const ids = [build('database', 'n', path('x')), build('database', 'n', path('y'))];
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id.split('/').length - 1).toBeLessThanOrEqual(6);
    expect(build('database', 'n', ['a', 'b', 'c'])).toBe('/openmetadata/database/n/a/b/c');
  });

  it('never ends as Secrets Manager forbids: a dash and six characters', () => {
    const { build } = strict('slash');
    for (const name of ['my-abcdef', 'a-b-cdefgh', '-abcdef', 'my-abcde', 'my-abcdefg']) {
      for (const path of [[], [name], ['a', name]]) {
        expect(build('database', name, path)).not.toMatch(/-[^/]{6}$/);
      }
    }
    expect(build('database', 'my-abcdef', [])).not.toBe(build('database', 'my_2dabcdef', []));
  });

  it('refuses an empty name or key', () => {
    const { build } = strict('slash');
    expect(() => build('database', '', ['a'])).toThrow(EventError);
    expect(() => build('database', 'a', [''])).toThrow(EventError);
  });

  it('refuses a prefix that leaves no room for the hash', () => {
    const options = {
      idStyle: 'azure',
      strict: true,
      prefix: 'p'.repeat(60),
      cluster: 'c',
      maxIdLength: 127,
    } as const;
    expect(() => createSecretIdBuilder(options)).toThrow(ConfigurationError);
    expect(() => createSecretIdBuilder({ ...options, strict: false })).not.toThrow();
  });

  it('hashes the whole id (so that the scheme can be rebuilt from its documentation)', () => {
    const name = 'n'.repeat(200);
    const whole = strict('slash').build('database', name, ['p']);
    const hash = createHash('sha256').update(whole).digest('hex');
    expect(strict('slash', 120).build('database', name, ['p']).endsWith(`_h${hash}`)).toBe(true);
  });
});
