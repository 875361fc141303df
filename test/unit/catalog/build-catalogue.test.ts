import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { buildCatalogue } from '../../../src/catalog/build/build-catalogue.js';
import { parseCatalogue } from '../../../src/catalog/index.js';

const SOURCE = { source: 'a test', licence: 'none', versions: ['1'] };
const PASSWORD = { type: 'string', format: 'password' };
const CONNECTOR = 'entity/services/connections/database/oursConnection.json';

describe('building a catalogue from JSON Schemas', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'schemas-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });

  function write(file: string, schema: unknown): void {
    const path = join(root, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof schema === 'string' ? schema : JSON.stringify(schema));
  }

  const pathsOf = (schema: unknown): readonly string[] | undefined => {
    write(CONNECTOR, schema);
    return buildCatalogue(root, SOURCE).connectors['database/ours'];
  };

  it('follows references within and across files, with and without the slash', () => {
    write('type/secrets.json', {
      definitions: { key: { properties: { inner: { $ref: '#/definitions/leaf' } } }, leaf: PASSWORD },
    });
    expect(
      pathsOf({
        properties: {
          here: { $ref: '#/definitions/own' },
          there: { $ref: '../../../../type/secrets.json#/definitions/key' },
          loose: { $ref: '../../../../type/secrets.json#definitions/leaf' },
        },
        definitions: { own: { properties: { password: PASSWORD } } },
      }),
    ).toEqual(['here.password', 'loose', 'there.inner']);
  });

  it('looks into every branch, array and map', () => {
    const member = (key: string): unknown => ({ properties: { [key]: PASSWORD } });
    expect(
      pathsOf({
        oneOf: [member('one')],
        anyOf: [member('any')],
        allOf: [{ then: member('then') }],
        properties: {
          list: { type: 'array', items: member('a') },
          tuple: { items: [member('b'), PASSWORD] },
          nested: { items: { items: PASSWORD } },
          map: { additionalProperties: PASSWORD },
          pattern: { patternProperties: { '^x': member('c') } },
          open: { additionalProperties: true },
          'dotted.key': PASSWORD,
        },
      }),
    ).toEqual(
      [
        'any',
        'dotted\\.key',
        'list[].a',
        'map.*',
        'nested[][]',
        'one',
        'pattern.*.c',
        'then',
        'tuple[]',
        'tuple[].b',
      ].sort(),
    );
  });

  it('does not loop if a definition contains itself', () => {
    expect(
      pathsOf({
        properties: { tree: { $ref: '#/definitions/tree' } },
        definitions: {
          tree: { properties: { secret: PASSWORD, child: { $ref: '#/definitions/tree' } } },
        },
      }),
    ).toEqual(['tree.secret']);
  });

  it('gives a catalogue that reads back, also from the unpacked artefact’s top folder', () => {
    write(`json/schema/${CONNECTOR}`, { properties: { password: PASSWORD } });
    write('json/schema/entity/teams/user.json', { properties: { authenticationMechanism: PASSWORD } });
    const built = buildCatalogue(root, SOURCE);
    expect(parseCatalogue(JSON.parse(JSON.stringify(built)), 'built')).toEqual(built);
    expect(built.connectors).toEqual({ 'database/ours': ['password'] });
    expect(built.entities).toEqual({ user: ['authenticationMechanism'] });
  });

  it('names what is wrong', () => {
    expect(() => buildCatalogue(root, SOURCE)).toThrow(/not a folder of OpenMetadata schemas/);
    expect(() => pathsOf({ $ref: './missing.json' })).toThrow(/missing\.json cannot be read/);
    expect(() => pathsOf({ $ref: '#/definitions/missing' })).toThrow(/refers to #\/definitions\/missing/);
    expect(() => pathsOf('{"half": ')).toThrow(/oursConnection\.json is not JSON\.$/);
  });
});
