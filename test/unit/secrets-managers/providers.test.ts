import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import {
  MANAGER_ALIASES,
  MANAGER_NAMES,
  PROVIDER_SETTING_NAMES,
  PROVIDERS,
  providerOf,
} from '../../../src/secrets-managers/providers.js';
import { createSecretsManager } from '../../../src/secrets-managers/registry.js';
import { SETTING_NAMES } from '../../../src/config/settings.js';
import { testSettings } from '../../conformance/fixture.js';
import { schema } from '../events/support.js';

const ROOT = new URL('../../../', import.meta.url);
const HOME = /^src\/secrets-managers\/(?:providers\.ts$|[^/]+\/)/;

/** Everything that is shipped and is no provider. */
function otherSources(): { file: string; text: string }[] {
  return ['src', 'consumers', 'producers', 'migrations'].flatMap((folder) =>
    readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name}`)
      .filter((file) => file.endsWith('.ts') && !HOME.test(file))
      .map((file) => ({ file, text: readFileSync(new URL(file, ROOT), 'utf8') })),
  );
}

function schemaWords(): readonly string[] {
  const text = readFileSync(new URL('docs/schemas/connection.secured.json', ROOT), 'utf8');
  const { properties } = JSON.parse(text) as {
    properties: { manager: { anyOf: [{ enum: string[] }] } };
  };
  return properties.manager.anyOf[0].enum;
}

describe('the list of providers', () => {
  it('is the only place outside of its folder that names one', () => {
    const words = [...PROVIDERS.map(({ name }) => name), ...MANAGER_NAMES, ...Object.keys(MANAGER_ALIASES)];
    const named = otherSources().flatMap(({ file, text }) =>
      words
        .filter((word) => new RegExp(`(?<!\\[)(['"])${word}\\1`).test(text))
        .map((word) => `${file}: ${word}`),
    );
    expect(named).toEqual([]);
  });

  it('gives each manager one provider, and each other word a manager', () => {
    expect(new Set(MANAGER_NAMES).size).toBe(MANAGER_NAMES.length);
    expect(new Set(PROVIDERS.map(({ name }) => name)).size).toBe(PROVIDERS.length);
    for (const [alias, name] of Object.entries(MANAGER_ALIASES)) {
      expect(MANAGER_NAMES).toContain(name);
      expect(MANAGER_NAMES).not.toContain(alias);
    }
    expect(() => providerOf('vault-of-tomorrow')).toThrow(/knows no secrets manager vault-of-tomorrow/);
  });

  it('is what configuration and the schema of secured events say', () => {
    expect(SETTING_NAMES).toEqual(expect.arrayContaining([...PROVIDER_SETTING_NAMES]));
    expect(schemaWords()).toEqual(MANAGER_NAMES);
    for (const { location, settings } of PROVIDERS)
      for (const name of Object.values(location)) expect(Object.keys(settings)).toContain(name);
  });

  it('has permissions for whatever is asked by a network', () => {
    for (const { packages, permissions } of PROVIDERS)
      if (packages.some((name) => name.startsWith('@'))) expect(permissions.worker).not.toEqual([]);
  });

  it('is what the package for readers names as its optional peers', () => {
    const text = readFileSync(new URL('packages/ingestion/package.json', ROOT), 'utf8');
    const { peerDependencies } = JSON.parse(text) as { peerDependencies: Record<string, string> };
    const needed = new Set(PROVIDERS.flatMap(({ packages }) => packages));
    expect(Object.keys(peerDependencies).sort()).toEqual([...needed].sort());
  });

  it('leaves room in the schema for what a newer worker says of its store', () => {
    const validate = schema('connection.secured.json');
    validate({ store: { provider: 'of-tomorrow', mount: 'secret', namespace: 'team' } });
    expect((validate.errors ?? []).filter(({ instancePath }) => instancePath.startsWith('/store'))).toEqual(
      [],
    );
  });
});

describe('a package that is not installed', () => {
  it('is named with its install command', async () => {
    const gone = Object.assign(new Error(`Cannot find package '@aws-sdk/client-ssm' imported from x`), {
      code: 'ERR_MODULE_NOT_FOUND',
    });
    const spied = vi.spyOn(providerOf('managed-aws-ssm'), 'open').mockRejectedValue(gone);
    const keys = { seal: String, open: String };
    await expect(createSecretsManager('managed-aws-ssm', testSettings(), { keys })).rejects.toThrow(
      /the package @aws-sdk\/client-ssm is not installed.* npm install @aws-sdk\/client-ssm /,
    );
    spied.mockRejectedValue(new Error('anything else'));
    await expect(createSecretsManager('managed-aws-ssm', testSettings(), { keys })).rejects.toThrow(
      'anything else',
    );
    spied.mockRestore();
  });
});
