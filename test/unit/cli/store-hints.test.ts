import { describe, expect, it } from 'vitest';
import { attempt } from '../../../src/cli/doctor-check.js';
import { shownError } from '../../../src/cli/errors.js';
import { WorkerError } from '../../../src/errors.js';
import { PROVIDERS, PROVIDER_SETTING_NAMES } from '../../../src/secrets-managers/providers.js';

/** The store's message names its settings and permissions: a hint that does so too speaks to users of one store only. */
const OF_ONE_STORE = [...PROVIDER_SETTING_NAMES, ...PROVIDERS.map(({ title }) => title), 'AWS', 'Vault'];

describe.each(['STORE_UNAVAILABLE', 'STORE_ACCESS'] as const)('the hints of %s', (code) => {
  const error = new WorkerError(code, 'what the store says');

  it('of a command names no single store', () => {
    const { hint } = shownError(error);
    expect(hint).toMatch(/the store/);
    expect(OF_ONE_STORE.filter((word) => hint.includes(word))).toEqual([]);
  });

  it('of doctor names no single store', async () => {
    const [result] = await attempt('store', () => Promise.reject(error));
    expect(result?.remedy).toMatch(/the store/);
    expect(OF_ONE_STORE.filter((word) => result?.remedy?.includes(word))).toEqual([]);
  });
});
