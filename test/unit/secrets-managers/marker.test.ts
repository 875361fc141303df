import { describe, expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { InMemoryStore } from '../../../src/secrets-managers/in-memory/store.js';
import { readMarker, writeMarker, type StoreMarker } from '../../../src/secrets-managers/marker.js';
import { failure, type SecretStore } from '../../../src/secrets-managers/port.js';
import { testOwnership, TEST_INSTALLATION } from '../../harness/ownership.js';

const ID = '/openmetadata/connection-secrets-worker/installation';
const MARKER: StoreMarker = { installation: TEST_INSTALLATION.id, database: 'd', kafkaCluster: null };
const CREATE = { createOnly: true } as const;

/** A store of which so many requests get no answer, each carried out before. */
function silent(times: number) {
  const store = new InMemoryStore(testOwnership());
  const late = failure('transient', 'no answer', { applied: 'unknown' });
  const asked: string[] = [];
  const withoutAnswer = <T>(name: string, results: T[]): T[] | (typeof late)[] => {
    asked.push(name);
    return asked.length > times ? results : results.map(() => late);
  };
  const flaky: Pick<SecretStore, 'get' | 'put'> = {
    get: async (...args) => withoutAnswer('get', await store.get(...args)),
    put: async (...args) => withoutAnswer('put', await store.put(...args)),
  };
  return { store: flaky as SecretStore, asked };
}

describe('what a store remembers of who works on it', () => {
  it('is read and written where the store is silent once or twice: nobody else has it then', async () => {
    const read = silent(2);
    expect(await readMarker(read.store, ID)).toBeNull();
    expect(read.asked).toEqual(['get', 'get', 'get']);
    const write = silent(2);
    // Its first request has landed; whoever is told that something is there reads it.
    await writeMarker(write.store, ID, MARKER, CREATE);
    expect(await readMarker(write.store, ID)).toEqual(MARKER);
  });

  it('is not known where the store stays silent', async () => {
    const { store, asked } = silent(99);
    await expect(readMarker(store, ID)).rejects.toThrow(WorkerError);
    await expect(readMarker(store, ID)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(asked).toHaveLength(6);
  });
});
