import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  compileCatalogue,
  loadCatalogue,
  parseCatalogue,
  shippedCatalogue,
} from '../../../src/catalog/index.js';
import { DEFAULT_OPTIONS, finderOf, partOf, readHistory, service } from './support.js';

const history = readHistory();

describe('the shipped catalogue', () => {
  const shipped = shippedCatalogue();

  it('is the union of all four versions, no more and no less', () => {
    for (const part of ['connectors', 'entities'] as const) {
      const union = Object.fromEntries(
        Object.entries(history[part]).map(([name, { paths }]) => [name, Object.keys(paths).sort()]),
      );
      expect(shipped[part]).toEqual(union);
    }
    expect(shipped.provenance).toMatchObject({ licence: 'Apache-2.0', versions: history.versions });
  });

  it('holds every path of every version', () => {
    for (const version of history.versions) {
      for (const [name, paths] of Object.entries(partOf(history.connectors, version))) {
        expect(shipped.connectors[name]).toEqual(expect.arrayContaining(paths));
      }
    }
  });

  it('has the documented top-level password of Mysql beside the newer one', () => {
    expect(shipped.connectors['database/mysql']).toEqual(
      expect.arrayContaining(['password', 'authType.password']),
    );
  });
});

describe('a catalogue of the user', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'catalogue-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const valid = {
    format: 1,
    provenance: { source: 'ours', licence: 'none', versions: ['1'] },
    connectors: { 'database/ours': ['authConfig.kennung', 'nodes[].key'] },
    entities: {},
  };

  it('is read from a file and used', () => {
    const file = join(folder, 'ours.json');
    writeFileSync(file, JSON.stringify(valid));
    const found = finderOf({}, loadCatalogue(file)).find(
      service('database', 'Ours', { authConfig: { kennung: 'x' }, nodes: [{ key: 'y' }] }),
    );
    expect(found.fields.map((field) => [field.pointer, field.because])).toEqual(
      expect.arrayContaining([
        ['/connection/config/authConfig/kennung', 'declared'],
        ['/connection/config/nodes/0/key', 'declared'],
      ]),
    );
  });

  it.each([
    ['another format', { ...valid, format: 2 }, /format/],
    ['an unknown member', { ...valid, conectors: {} }, /conectors/],
    ['a connector without a kind', { ...valid, connectors: { mysql: [] } }, /mysql/],
    [
      'an empty path',
      { ...valid, connectors: { 'database/ours': ['a..b'] } },
      /connectors\.database\/ours\.0/,
    ],
    ['an unknown entity', { ...valid, entities: { team: [] } }, /entities/],
    ['no provenance', { ...valid, provenance: undefined }, /provenance/],
    ['not an object', 7, /the file/],
  ])('is refused by name where it has %s', (_what, json, message) => {
    expect(() => parseCatalogue(json, 'ours.json')).toThrow(message);
  });

  it('is refused, with its name, if it is missing or not JSON', () => {
    expect(() => loadCatalogue(join(folder, 'missing.json'))).toThrow(/missing\.json cannot be read/);
    const file = join(folder, 'broken.json');
    writeFileSync(file, '{"format": hunter2');
    expect(() => loadCatalogue(file)).toThrow(/broken\.json is not JSON\.$/);
  });
});

describe('extra and excluded paths', () => {
  it.each(['password', 'database:password', 'team:x', 'database/mysql:', 'user:a..b', ''])(
    'refuses %j by name',
    (path) => {
      expect(() => compileCatalogue(shippedCatalogue(), { ...DEFAULT_OPTIONS, extraPaths: [path] })).toThrow(
        /Not a secret path/,
      );
    },
  );

  it('lists all wrong ones together', () => {
    expect(() =>
      compileCatalogue(shippedCatalogue(), {
        ...DEFAULT_OPTIONS,
        extraPaths: ['one'],
        excludedPaths: ['two'],
      }),
    ).toThrow(/one, two/);
  });
});
