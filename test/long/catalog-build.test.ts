import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

import { buildCatalogue } from '../../src/catalog/build/build-catalogue.js';
import { partOf, readHistory } from '../unit/catalog/support.js';

const VERSIONS = ['0.13.2', '1.2.0', '1.4.0'] as const;
const CACHE = fileURLToPath(new URL('../../.cache/openmetadata-spec/', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../../scripts/fetch-openmetadata-spec.mjs', import.meta.url));
const directory = process.env['OPENMETADATA_SPEC_DIR'] ?? CACHE;
const isThere = (): boolean => VERSIONS.every((version) => existsSync(join(directory, version)));
const hasMaven = (): boolean => spawnSync('mvn', ['--version'], { stdio: 'ignore' }).status === 0;
const isRequired = process.env['CI'] === 'true';
const canRun = isRequired || isThere() || (directory === CACHE && hasMaven());

describe('catalogue from the published schemas', () => {
  beforeAll(() => {
    if (!canRun || isThere() || directory !== CACHE) return;
    const fetched = spawnSync('node', [SCRIPT], { stdio: 'inherit' });
    expect(fetched.status, 'scripts/fetch-openmetadata-spec.mjs').toBe(0);
  }, 600_000);

  it.skipIf(!canRun).each(VERSIONS)(
    'openmetadata-spec %s gives exactly its fields (needs mvn)',
    (version) => {
      const history = readHistory();
      const source = {
        source: 'org.open-metadata:openmetadata-spec',
        licence: 'Apache-2.0',
        versions: [version],
      };
      const built = buildCatalogue(join(directory, version), source);
      expect(built.connectors).toEqual(partOf(history.connectors, version));
      expect(built.entities).toEqual(partOf(history.entities, version));
      expect(built.provenance).toEqual(source);
    },
  );
});
