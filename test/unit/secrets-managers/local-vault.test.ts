import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors.js';
import { KeyRing } from '../../../src/fernet/key-ring.js';
import { openLocalStore } from '../../../src/secrets-managers/local/store.js';
import { rotateVault, type VaultBatch } from '../../../src/secrets-managers/local/rotate.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { PutItem, StoreCall } from '../../../src/secrets-managers/port.js';
import { tmpDir } from '../../harness/tmp-dir.js';
import { testOwnership } from '../../harness/ownership.js';

const OLD_KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';
const NEW_KEY = 'q9b2Xw7rT4uYz1aS6dF3gH8jK5lP0oI7nM2vC4xB1eQ=';
const oldKeys = KeyRing.parse('FERNET_KEY', OLD_KEY);
const bothKeys = KeyRing.parse('FERNET_KEY', `${NEW_KEY},${OLD_KEY}`);
const newKeys = KeyRing.parse('FERNET_KEY', NEW_KEY);

const call: StoreCall = { signal: new AbortController().signal, admitWrite: () => Promise.resolve() };
const MARKER = 'MARKER-a77e';

function item(secretId: string, value: string, token = secretId.padEnd(40, '0')): PutItem {
  return {
    secretId,
    value: new SecretValue(value),
    connectionId: 'c1',
    known: true,
    requestKey: token,
    adopt: false,
  };
}

async function textOf(file: string, keys: KeyRing, id: string, version?: string): Promise<string> {
  const store = openLocalStore(file, keys, 1_000, testOwnership());
  const got = { reference: `secret:${id}` as const, ...(version === undefined ? {} : { version }) };
  const [result] = await store.get([got], call);
  await store.close();
  if (result?.ok === true) return result.value.value.reveal();
  return result?.error.code ?? 'none';
}

describe('the local vault', () => {
  it('is readable by its owner only, and holds no value in the clear', async () => {
    const folder = tmpDir('vault');
    const store = openLocalStore(join(folder, 'v.vault'), oldKeys, 1_000, testOwnership());
    await store.put([item('/a/b', MARKER)], call);
    const files = readdirSync(folder).map((name) => join(folder, name));
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readFileSync(file).includes(MARKER)).toBe(false);
    }
    await store.close();
  });

  it('keeps what was written when it is opened again, and notices a wrong key', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 1_000, testOwnership());
    await store.put([item('/a/b', 'v')], call);
    await store.close();
    expect(await textOf(file, oldKeys, '/a/b')).toBe('v');
    expect(await textOf(file, newKeys, '/a/b')).toBe('STORE_ACCESS');
  });

  it('keeps a hundred versions, and never gives a number twice', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 1_000, testOwnership());
    const versions: string[] = [];
    const put = async (value: string) => {
      const [result] = await store.put([item('/a/b', value, `token-${value}`)], call);
      if (result?.ok === true) versions.push(result.value.version);
    };
    for (let count = 0; count < 101; count += 1) await put(`v${count}`);
    await store.delete([{ reference: 'secret:/a/b', connectionId: 'c1', isCommitted: true }], call);
    const [first, second] = versions;
    await put('again');
    expect(new Set(versions).size).toBe(102);
    await store.close();
    expect(await textOf(file, oldKeys, '/a/b', first)).toBe('SECRET_VERSION_GONE');
    expect(await textOf(file, oldKeys, '/a/b', second)).toBe('SECRET_VERSION_GONE');
  });

  it('forgets the oldest of more than a hundred versions only', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 1_000, testOwnership());
    for (let count = 1; count <= 101; count += 1)
      await store.put([item('/a', `v${count}`, `t${count}`)], call);
    await store.close();
    expect(await textOf(file, oldKeys, '/a', '1')).toBe('SECRET_VERSION_GONE');
    expect(await textOf(file, oldKeys, '/a', '2')).toBe('v2');
    expect(await textOf(file, oldKeys, '/a')).toBe('v101');
  });

  it.each([
    [
      'another program’s database',
      (file: string) => {
        new Database(file).exec('CREATE TABLE t (a)').close();
      },
    ],
    [
      'something else',
      (file: string) => {
        writeFileSync(file, 'x'.repeat(5_000));
      },
    ],
  ])('is not taken from %s', (_name, make) => {
    const file = join(tmpDir('vault'), 'v.vault');
    make(file);
    expect(() => openLocalStore(file, oldKeys, 100, testOwnership())).toThrow(ConfigurationError);
    expect(() => openLocalStore(file, oldKeys, 100, testOwnership())).toThrow(file);
  });

  it('says which file cannot be opened', () => {
    const file = join(tmpDir('vault'), 'missing', 'v.vault');
    expect(() => openLocalStore(file, oldKeys, 100, testOwnership())).toThrow(
      /missing\/v\.vault cannot be opened .*ENOENT/,
    );
  });

  it('takes rights away from a file that others could read', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    await openLocalStore(file, oldKeys, 100, testOwnership()).close();
    chmodSync(file, 0o644);
    await openLocalStore(file, oldKeys, 100, testOwnership()).close();
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('answers a lock of another process as passing, with nothing applied', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 20, testOwnership());
    const other = new Database(file);
    other.exec('BEGIN IMMEDIATE');
    const [result] = await store.put([item('/a', 'v')], call);
    expect(result).toMatchObject({ ok: false, error: { class: 'transient', applied: 'no' } });
    other.exec('ROLLBACK');
    other.close();
    await store.close();
  });
});

describe('rotateVault', () => {
  it('seals all versions anew in batches, can be resumed, and leaves the old key without use', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 1_000, testOwnership());
    for (let count = 1; count <= 7; count += 1) await store.put([item(`/s${count}`, `v${count}`)], call);
    const controller = new AbortController();
    const batches: number[] = [];
    const rotation = {
      file,
      keys: bothKeys,
      busyTimeoutMs: 1_000,
      batchSize: 3,
      onBatch: ({ rotated }: VaultBatch) => {
        batches.push(rotated);
        if (batches.length === 1) controller.abort();
      },
    };
    const stopped = await rotateVault({ ...rotation, after: 0, signal: controller.signal });
    expect(stopped).toBe(3);
    expect(await textOf(file, newKeys, '/s4')).toBe('STORE_ACCESS');
    const ended = await rotateVault({ ...rotation, after: stopped, signal: new AbortController().signal });
    expect(ended).toBe(7);
    expect(batches).toEqual([3, 3, 1]);
    for (let count = 1; count <= 7; count += 1)
      expect(await textOf(file, newKeys, `/s${count}`)).toBe(`v${count}`);
    await store.close();
  });

  it('counts what no key of the list opens, and leaves it as it is', async () => {
    const file = join(tmpDir('vault'), 'v.vault');
    const store = openLocalStore(file, oldKeys, 1_000, testOwnership());
    await store.put([item('/s1', 'v1'), item('/s2', 'v2')], call);
    const other = openLocalStore(file, newKeys, 1_000, testOwnership());
    await other.put([item('/s3', 'v3')], call);
    const batches: VaultBatch[] = [];
    const signal = new AbortController().signal;
    const onBatch = (batch: VaultBatch): void => void batches.push(batch);
    await rotateVault({ file, keys: newKeys, busyTimeoutMs: 1_000, batchSize: 9, after: 0, onBatch, signal });
    expect(batches).toEqual([{ position: 3, rotated: 0, current: 1, unknown: 2 }]);
    expect(await textOf(file, oldKeys, '/s1')).toBe('v1');
    await Promise.all([store.close(), other.close()]);
  });
});
