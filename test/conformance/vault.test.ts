import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeyRing } from '../../src/fernet/key-ring.js';
import type { SecretsManager, SecretStore, StoreResult } from '../../src/secrets-managers/port.js';
import { ownerOf, type Owner } from '../../src/secrets-managers/ownership.js';
import { createSecretsManager } from '../../src/secrets-managers/registry.js';
import type { StoreRequest } from '../../src/secrets-managers/settings.js';
import type { Fault } from '../harness/aws-standin/index.js';
import { TEST_INSTALLATION } from '../harness/ownership.js';
import { tmpDir } from '../harness/tmp-dir.js';
import { ROOT_TOKEN, VaultStandin, type VaultStandinOptions } from '../harness/vault-standin/index.js';
import {
  CONNECTION,
  deleteOne,
  errorOf,
  freshId,
  freshToken,
  OTHER_CONNECTION,
  putItem,
  reference,
  storeCall,
  TEST_KEY,
  testSettings,
  textOf,
  valueOf,
  type Fixture,
} from './fixture.js';
import { describeSealing } from './sealing-conformance.js';
import { describeStore } from './store-conformance.js';

const HASTY_MS = 120;
const keys = KeyRing.parse('FERNET_KEY', TEST_KEY);

function tagsOf({ connectionId, installation }: Owner): Record<string, string> {
  return {
    'managed-by': 'connection-secrets-worker',
    'connection-id': connectionId,
    ...(installation === null ? {} : { installation }),
  };
}

/** Past our adapter, by the server's own API. */
function rawClient(address: string, token: string, mount = 'secret') {
  const send = async (method: string, part: string, id: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${address}/v1/${mount}/${part}${id}`, {
      method,
      headers: { 'x-vault-token': token, 'x-vault-request': 'true' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${part} ${id}: ${response.status}`);
    const text = await response.text();
    return text === '' ? null : (JSON.parse(text) as unknown);
  };
  return {
    place: async (id: string, value: string, owner: Owner | null): Promise<void> => {
      if (owner !== null) await send('POST', 'metadata', id, { custom_metadata: tagsOf(owner) });
      await send('POST', 'data', id, { data: { value } });
    },
    ownerOf: async (id: string): Promise<Owner | null> => {
      const { data } = (await send('GET', 'metadata', id)) as {
        data: { custom_metadata: Record<string, string> | null };
      };
      return ownerOf(Object.entries(data.custom_metadata ?? {}).map(([Key, Value]) => ({ Key, Value })));
    },
  };
}

async function openFixture(address: string, token: string): Promise<Fixture> {
  const settings = testSettings({ VAULT_ADDR: address, VAULT_TOKEN: token });
  const manager = await createSecretsManager('managed-vault', settings, { keys });
  const raw = rawClient(address, token);
  return {
    manager,
    restoresSameVersion: false,
    writesANewSecret: 2,
    placeUnowned: (id, value) => raw.place(id, value, null),
    placeOwned: (id, value, owner) => raw.place(id, value, owner),
    ownerOf: raw.ownerOf,
    as: async (installation) =>
      (await createSecretsManager('managed-vault', { ...settings, installation }, { keys })).store,
    close: () => manager.store.close(),
  };
}

describeStore('managed-vault on the stand-in', async () => {
  const standin = await VaultStandin.start();
  const fixture = await openFixture(standin.url, ROOT_TOKEN);
  return {
    ...fixture,
    close: async () => {
      await fixture.close();
      await standin.close();
    },
  };
});

const { TEST_VAULT_ADDR: realAddress, TEST_VAULT_TOKEN: realToken = 'root' } = process.env;
if (realAddress === undefined) it.skip('managed-vault on a real server: TEST_VAULT_ADDR is not set');
else describeStore('managed-vault on a real server', () => openFixture(realAddress, realToken));

describeSealing('vault, non-managed', async () => {
  const standin = await VaultStandin.start();
  const settings = testSettings({ VAULT_ADDR: standin.url, VAULT_TOKEN: ROOT_TOKEN });
  const manager = await createSecretsManager('vault', settings, { keys });
  return {
    manager,
    close: async () => {
      await manager.store.close();
      await standin.close();
    },
  };
});

function listOf({ owned }: SecretStore): Promise<StoreResult<unknown>> {
  return owned === null ? Promise.reject(new Error('it lists nothing')) : owned.list('/', null, storeCall());
}

class Bench {
  readonly requests: StoreRequest[] = [];
  throttles = 0;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(readonly standin: VaultStandin) {}

  static async open(options: VaultStandinOptions = {}): Promise<Bench> {
    return new Bench(await VaultStandin.start(options));
  }

  async manager(texts: Record<string, string> = {}, requestTimeoutMs = 10_000): Promise<SecretsManager> {
    const settings = testSettings(
      { VAULT_ADDR: this.standin.url, VAULT_TOKEN: ROOT_TOKEN, ...texts },
      { requestTimeoutMs },
    );
    const manager = await createSecretsManager('managed-vault', settings, {
      keys,
      onThrottle: () => (this.throttles += 1),
      onRequest: (request) => this.requests.push(request),
    });
    this.#closers.push(() => manager.store.close());
    return manager;
  }

  /** What was asked of the engine since the last time. */
  operations(): string[] {
    return this.standin.calls.splice(0).map(({ operation }) => operation);
  }

  async close(): Promise<void> {
    await Promise.all(this.#closers.map((close) => close()));
    await this.standin.close();
  }
}

let bench: Bench;
beforeEach(async () => {
  bench = await Bench.open();
});
afterEach(() => bench.close());

async function put(manager: SecretsManager, ...more: Parameters<typeof putItem>) {
  const [result] = await manager.store.put([putItem(...more)], storeCall());
  return valueOf(result);
}

describe('requests', () => {
  it('one for a changed secret, two for a new one, one for each value read, two to delete', async () => {
    const { store, ...manager } = await bench.manager();
    const id = freshId();
    const first = await put({ store, ...manager }, id, 'one');
    expect(bench.operations()).toEqual(['POST data', 'POST metadata']);
    await put({ store, ...manager }, id, 'two', { known: true, expectedVersion: first.version });
    expect(bench.operations()).toEqual(['POST data']);
    await store.get([{ reference: reference(id) }], storeCall());
    expect(bench.operations()).toEqual(['GET data']);
    await deleteOne({ manager: { store, ...manager } } as Fixture, id);
    expect(bench.operations()).toEqual(['GET metadata', 'DELETE metadata']);
    expect(bench.standin.engine.secrets.size).toBe(0);
  });

  it('keep the value under the key that OpenMetadata’s readers take', async () => {
    const manager = await bench.manager();
    await put(manager, '/openmetadata/database/mysql-test/password', 'v');
    expect([...bench.standin.engine.secrets.keys()]).toEqual(['openmetadata/database/mysql-test/password']);
    expect(bench.standin.valueOf('/openmetadata/database/mysql-test/password')).toBe('v');
    expect(manager).toMatchObject({ provider: 'vault', location: { mount: 'secret' } });
  });

  it('go to mount and namespace, and say so in the location', async () => {
    const other = await Bench.open({ mount: 'kv/team', namespace: 'a/b' });
    const texts = { VAULT_MOUNT: '/kv/team/', BAO_NAMESPACE: 'a/b' };
    const manager = await other.manager(texts);
    const id = freshId();
    await put(manager, id, 'v');
    expect(await textOf({ manager }, id)).toBe('v');
    expect(manager.location).toEqual({ mount: 'kv/team', namespace: 'a/b' });
    const elsewhere = await other.manager({ VAULT_MOUNT: 'kv/team' });
    const [result] = await elsewhere.store.get([{ reference: reference(id) }], storeCall());
    expect(errorOf(result).class).toBe('access');
    await other.close();
  });

  it('never leave the path of their mount', async () => {
    const { store } = await bench.manager();
    const ids = ['/a/../../../sys/seal', '/a//b', '/a/', '/./a', '/a/\u0000b'];
    const results = await store.get(
      ids.map((id) => ({ reference: reference(id) })),
      storeCall(),
    );
    expect(results.map((result) => errorOf(result).class)).toEqual(ids.map(() => 'invalid'));
    expect(bench.operations()).toEqual([]);
  });
});

describe('a late request of a former claim', () => {
  it('is refused by the store, whether it lands before or after the next one', async () => {
    const id = freshId();
    const hasty = await bench.manager({}, HASTY_MS);
    const manager = await bench.manager();
    const recorded = (await put(manager, id, 'recorded')).version;
    const known = { known: true, expectedVersion: recorded };
    bench.standin.fault({ kind: 'delay', delayMs: HASTY_MS * 4, times: 1, operation: 'POST data' });
    const [late] = await hasty.store.put([putItem(id, 'late', known)], storeCall());
    expect(errorOf(late)).toMatchObject({ class: 'transient', applied: 'unknown' });
    await put(manager, id, 'next', known);
    // One that was recorded with its tags, the next one, and the late one, which was refused: another version was current.
    await expect.poll(() => bench.standin.carriedOut).toBe(4);
    expect(bench.standin.valueOf(id)).toBe('next');
    expect(bench.standin.engine.secrets.get(id.slice(1))?.current).toBe(2);
  });

  it('that landed first is seen, and written over by the next claim', async () => {
    const id = freshId();
    const manager = await bench.manager();
    const recorded = (await put(manager, id, 'recorded')).version;
    const known = { known: true, expectedVersion: recorded };
    bench.standin.fault({ kind: 'hang-after', times: 1, operation: 'POST data' });
    const hasty = await bench.manager({}, HASTY_MS);
    expect(errorOf((await hasty.store.put([putItem(id, 'late', known)], storeCall()))[0]).applied).toBe(
      'unknown',
    );
    bench.operations();
    expect(await put(manager, id, 'next', known)).toMatchObject({ version: '3', effect: 'changed' });
    expect(bench.operations()).toEqual(['POST data', 'GET metadata', 'POST data']);
    expect(bench.standin.valueOf(id)).toBe('next');
  });

  it('that creates does not write over what was created since', async () => {
    const id = freshId();
    const [hasty, manager] = [await bench.manager({}, HASTY_MS), await bench.manager()];
    bench.standin.fault({ kind: 'delay', delayMs: HASTY_MS * 4, times: 1, operation: 'POST data' });
    await hasty.store.put([putItem(id, 'late')], storeCall());
    await put(manager, id, 'next');
    await expect.poll(() => bench.standin.carriedOut).toBe(3);
    expect(bench.standin.valueOf(id)).toBe('next');
  });
});

describe('ownership', () => {
  it('of a new secret whose tags could not be put on stands in its value', async () => {
    const id = freshId();
    const manager = await bench.manager();
    bench.standin.fault({ kind: 'server-error', times: 1, operation: 'POST metadata' });
    const [failed] = await manager.store.put([putItem(id, 'one')], storeCall());
    expect(errorOf(failed)).toMatchObject({ class: 'transient', applied: 'unknown' });
    expect(valueOf(await manager.store.describe(reference(id), storeCall()))).toMatchObject({
      ownedBy: CONNECTION,
      installation: 'ours',
    });
    const [foreign] = await manager.store.put(
      [putItem(id, 'x', { connectionId: OTHER_CONNECTION })],
      storeCall(),
    );
    expect(errorOf(foreign).code).toBe('SECRET_NOT_OWNED');
    expect((await put(manager, id, 'two')).effect).toBe('changed');
    expect(bench.standin.engine.secrets.get(id.slice(1))?.custom).toMatchObject({
      'connection-id': CONNECTION,
    });
  });

  it('does not go with a copy to another path', async () => {
    const [id, copy] = [freshId(), freshId()];
    const manager = await bench.manager();
    await put(manager, id, 'one');
    const original = bench.standin.engine.secrets.get(id.slice(1));
    bench.standin.engine.write(copy.slice(1), { data: original?.versions.get(1)?.data ?? {} });
    const [refused] = await manager.store.put([putItem(copy, 'two')], storeCall());
    expect(errorOf(refused).code).toBe('SECRET_NOT_OWNED');
    expect(bench.standin.valueOf(copy)).toBe('one');
  });

  it('is not judged by an answer that failed', async () => {
    const id = freshId();
    const manager = await bench.manager();
    bench.standin.engine.write(id.slice(1), { data: { value: 'theirs' } });
    bench.standin.fault({ kind: 'server-error', operation: 'GET data' });
    const [result] = await manager.store.put([putItem(id, 'ours')], storeCall());
    expect(errorOf(result)).toMatchObject({ class: 'transient', code: 'STORE_UNAVAILABLE' });
  });

  it('keeps what others have put into the metadata', async () => {
    const id = freshId();
    const manager = await bench.manager();
    bench.standin.engine.write(id.slice(1), { data: { value: 'theirs' } });
    bench.standin.engine.writeMetadata(id.slice(1), { custom_metadata: { team: 'x', cost: '7' } });
    expect((await put(manager, id, 'ours', { adopt: true })).effect).toBe('adopted');
    expect(bench.standin.engine.secrets.get(id.slice(1))?.custom).toMatchObject({
      cost: '7',
      'connection-id': CONNECTION,
      installation: TEST_INSTALLATION.id,
    });
  });

  it('of a secret that has tags and no value yet is the one of its tags', async () => {
    const [theirs, untagged] = [freshId(), freshId()];
    const manager = await bench.manager();
    const { engine } = bench.standin;
    const owner = { connectionId: OTHER_CONNECTION, installation: 'another' };
    engine.writeMetadata(theirs.slice(1), { custom_metadata: tagsOf(owner) });
    const [refused] = await manager.store.put([putItem(theirs, 'ours')], storeCall());
    expect(errorOf(refused)).toMatchObject({ code: 'SECRET_NOT_OWNED', applied: 'unknown' });
    expect(engine.secrets.get(theirs.slice(1))?.custom).toEqual(tagsOf(owner));

    engine.writeMetadata(untagged.slice(1), { custom_metadata: { cost: '7' } });
    expect((await put(manager, untagged, 'ours')).effect).toBe('created');
    expect(engine.secrets.get(untagged.slice(1))?.custom).toMatchObject({
      cost: '7',
      'connection-id': CONNECTION,
    });
  });

  it('takes no tags that the store refuses', async () => {
    const settings = { ...testSettings({ VAULT_ADDR: bench.standin.url, VAULT_TOKEN: 'x' }) };
    const open = (key: string, value: string) =>
      createSecretsManager('managed-vault', { ...settings, tags: [{ key, value }] }, { keys });
    await expect(open('team', '')).rejects.toThrow(/SECRET_MANAGER_TAGS: Vault takes in tag 1/);
    await expect(open('ä'.repeat(65), 'x')).rejects.toThrow(/SECRET_MANAGER_TAGS/);
    await (await open('ä'.repeat(64), 'x'.repeat(512))).store.close();
  });
});

describe('versions', () => {
  it('beyond the ten that are kept are gone, and said to be', async () => {
    const id = freshId();
    const manager = await bench.manager();
    let version = (await put(manager, id, 'v1')).version;
    for (let number = 2; number <= 12; number += 1)
      ({ version } = await put(manager, id, `v${number}`, { known: true, expectedVersion: version }));
    const restore = { reference: reference(id), connectionId: CONNECTION, requestKey: freshToken() };
    expect(errorOf(await manager.store.restore({ ...restore, version: '2' }, storeCall())).code).toBe(
      'SECRET_VERSION_GONE',
    );
    expect(valueOf(await manager.store.restore({ ...restore, version: '3' }, storeCall()))).toEqual({
      version: '13',
    });
    expect(bench.standin.valueOf(id)).toBe('v3');
  });

  it('that somebody has deleted are brought back; destroyed ones are gone', async () => {
    const id = freshId();
    const manager = await bench.manager();
    const { version } = await put(manager, id, 'one');
    const delayed = (numbers: number[], destroyed: boolean) =>
      bench.standin.engine.mark(id.slice(1), numbers, (one) => {
        one.deletionTime = '2026-01-02T03:04:05Z';
        one.destroyed = destroyed;
      });
    delayed([1], false);
    expect(valueOf(await manager.store.describe(reference(id), storeCall()))).toMatchObject({
      version,
      scheduledForDeletion: true,
    });
    const [gone] = await manager.store.get([{ reference: reference(id) }], storeCall());
    expect(errorOf(gone).class).toBe('not-found');
    const restore = { reference: reference(id), connectionId: CONNECTION, version, requestKey: freshToken() };
    expect(valueOf(await manager.store.restore(restore, storeCall()))).toEqual({ version });
    expect(bench.standin.valueOf(id)).toBe('one');
    delayed([1], true);
    expect(errorOf(await manager.store.restore(restore, storeCall())).code).toBe('SECRET_VERSION_GONE');
    // Needed again: written as the next version.
    expect(await put(manager, id, 'two', { known: true, expectedVersion: version })).toMatchObject({
      version: '2',
    });
  });
});

describe('an engine of version 1, or none', () => {
  it('is never taken for an empty one', async () => {
    bench.standin.engineVersion = '1';
    const { store } = await bench.manager();
    const [result] = await store.get([{ reference: reference(freshId()) }], storeCall());
    expect(errorOf(result)).toMatchObject({ class: 'access' });
    expect(errorOf(await store.check(storeCall())).message).toContain(
      'VAULT_MOUNT secret is no key-value engine',
    );
    const item = { reference: reference(freshId()), connectionId: CONNECTION, isCommitted: true };
    const [deleted] = await store.delete([item], storeCall());
    expect(errorOf(deleted)).toMatchObject({ class: 'access' });
    expect(errorOf(await listOf(store)).class).toBe('access');
    const elsewhere = await bench.manager({ VAULT_MOUNT: 'other' });
    const [missing] = await elsewhere.store.get([{ reference: reference(freshId()) }], storeCall());
    expect(errorOf(missing)).toMatchObject({ class: 'access' });
    expect(errorOf(missing).message).toContain('no secrets engine at VAULT_MOUNT');
  });
});

describe('what the policy lacks', () => {
  it('is named by capability and path', async () => {
    bench.standin.allow('hvs.worker', {
      'secret/data/openmetadata/': ['create', 'read'],
      'secret/metadata/openmetadata/': ['create', 'read', 'update', 'delete', 'list'],
    });
    const { store } = await bench.manager({ VAULT_TOKEN: 'hvs.worker' });
    expect(errorOf(await store.check(storeCall()))).toMatchObject({
      class: 'access',
      message: 'vault: the policy lacks update on secret/data/openmetadata/*',
    });
    bench.standin.allow('hvs.worker', {
      'secret/data/openmetadata/': ['create', 'read', 'update'],
      'secret/metadata/openmetadata/': ['create', 'read', 'update', 'delete'],
    });
    expect(valueOf(await store.check(storeCall())).detail).toBe('the policy permits what is needed');
    expect(bench.operations()).toEqual([]);
  });
});

describe('logging in', () => {
  const role = {
    credentials: { role_id: 'r', secret_id: 's3cr3t-id' },
    leaseSeconds: 3_600,
    renewable: true,
  };
  const approle = { VAULT_AUTH_METHOD: 'approle', VAULT_ROLE_ID: 'r', VAULT_SECRET_ID: 's3cr3t-id' };

  it('by approle: once for all that come together, and anew when the token is no longer known', async () => {
    bench.standin.roles.set('auth/approle/login', role);
    const manager = await bench.manager(approle);
    const ids = [freshId(), freshId(), freshId()];
    await manager.store.put(
      ids.map((id) => putItem(id, 'v')),
      storeCall(),
    );
    expect(bench.standin.logins).toEqual(['auth/approle/login']);
  });

  it('by kubernetes: with the service account’s token, read at each login', async () => {
    const file = join(tmpDir(), 'token');
    writeFileSync(file, 'jwt-1\n');
    bench.standin.roles.set('auth/k8s/east/login', {
      ...role,
      credentials: { role: 'worker', jwt: 'jwt-1' },
    });
    const manager = await bench.manager({
      ...{ BAO_AUTH_METHOD: 'kubernetes', BAO_KUBERNETES_ROLE: 'worker' },
      ...{ VAULT_AUTH_MOUNT: 'k8s/east', VAULT_KUBERNETES_JWT_FILE: file },
    });
    await put(manager, freshId(), 'v');
    expect(bench.standin.logins).toEqual(['auth/k8s/east/login']);
  });

  it('is renewed before its time is over, and begun anew near the end of all renewals', async () => {
    bench.standin.roles.set('auth/approle/login', { ...role, leaseSeconds: 0.15 });
    const manager = await bench.manager(approle);
    const loginsAfterMore = async (count: number) => {
      await expect
        .poll(async () => {
          await put(manager, freshId(), 'v');
          return bench.standin.logins.length;
        })
        .toBeGreaterThanOrEqual(count);
      return bench.standin.logins.splice(0);
    };
    expect((await loginsAfterMore(2)).slice(0, 2)).toEqual(['auth/approle/login', 'auth/token/renew-self']);
    bench.standin.roles.set('auth/approle/login', { ...role, leaseSeconds: 0.05 });
    expect((await loginsAfterMore(2)).slice(0, 2)).toEqual(['auth/token/renew-self', 'auth/approle/login']);
  });

  it('is refused: that concerns everything, and nothing of it is shown', async () => {
    bench.standin.roles.set('auth/approle/login', role);
    const { store } = await bench.manager({ ...approle, VAULT_SECRET_ID: 'wr0ng-secret-id' });
    const [result] = await store.put([putItem(freshId(), 'v')], storeCall());
    expect(errorOf(result)).toMatchObject({ class: 'credentials', applied: 'no' });
    expect(JSON.stringify(result)).not.toContain('wr0ng');
    expect(bench.operations()).toEqual([]);
  });

  it('tells a token that the server has forgotten from a policy, and logs in anew', async () => {
    bench.standin.roles.set('auth/approle/login', role);
    const manager = await bench.manager(approle);
    const id = freshId();
    await put(manager, id, 'v');
    const [made = ''] = bench.standin.tokens().slice(1);
    bench.standin.revoke(made);
    const read = async () => (await manager.store.get([{ reference: reference(id) }], storeCall()))[0];
    // For a while the server's last word about the token counts.
    await expect.poll(async () => errorOfOrNull(await read()), { timeout: 15_000, interval: 500 }).toBeNull();
    expect(bench.standin.logins).toEqual([
      'auth/approle/login',
      'auth/token/lookup-self',
      'auth/approle/login',
    ]);
  }, 20_000);
});

function errorOfOrNull(result: Parameters<typeof errorOf>[0]): string | null {
  return result?.ok === false ? result.error.class : null;
}

const READ_FAULTS: readonly (readonly [string, Fault, string])[] = [
  ['denied', { kind: 'deny' }, 'access'],
  ['throttled', { kind: 'error', status: 429 }, 'transient'],
  ['an error of the service', { kind: 'server-error' }, 'transient'],
  ['a standby that is not ready', { kind: 'error', status: 473 }, 'transient'],
  ['no answer', { kind: 'hang' }, 'transient'],
  ['an answer that comes too late', { kind: 'slow-answer', delayMs: HASTY_MS * 2 }, 'transient'],
  ['a connection that is cut', { kind: 'drop' }, 'transient'],
  ['a 404 of something else', { kind: 'error', status: 404, name: 'no such page' }, 'transient'],
  ['a redirection', { kind: 'error', status: 307 }, 'transient'],
  ['a success that says nothing', { kind: 'empty' }, 'transient'],
];

const WRITE_FAULTS: readonly (readonly [string, Fault, string, 'no' | 'unknown', boolean])[] = [
  ['throttled', { kind: 'error', status: 429 }, 'transient', 'no', false],
  ['denied', { kind: 'deny' }, 'access', 'no', false],
  ['a 400 that nobody knows', { kind: 'error', status: 400, name: 'odd' }, 'transient', 'unknown', false],
  ['too large', { kind: 'error', status: 413 }, 'invalid', 'no', false],
  ['an error of the service', { kind: 'server-error' }, 'transient', 'unknown', false],
  ['an error after success', { kind: 'server-error-after' }, 'transient', 'unknown', true],
  ['cut before', { kind: 'drop' }, 'transient', 'unknown', false],
  ['cut after success', { kind: 'drop-after' }, 'transient', 'unknown', true],
  ['no answer', { kind: 'hang' }, 'transient', 'unknown', false],
  ['no answer after success', { kind: 'hang-after' }, 'transient', 'unknown', true],
  ['a success that says nothing', { kind: 'empty' }, 'transient', 'unknown', false],
  ['the same, carried out', { kind: 'empty-after' }, 'transient', 'unknown', true],
];

describe('when the service fails', () => {
  const managerFor = (fault: Fault) => bench.manager({}, /^(hang|slow)/.test(fault.kind) ? HASTY_MS : 10_000);

  it.each(READ_FAULTS)('never takes unreadable for absent: %s', async (_name, fault, errorClass) => {
    const id = freshId();
    await put(await bench.manager(), id, 'v');
    bench.standin.fault(fault);
    const { store } = await managerFor(fault);
    const results = await store.get(
      [{ reference: reference(id) }, { reference: reference(freshId()) }],
      storeCall(),
    );
    expect(results.map((result) => errorOf(result).class)).toEqual([errorClass, errorClass]);
    expect(errorOf(await store.describe(reference(id), storeCall())).class).toBe(errorClass);
    const named = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
    expect(errorOf((await store.delete([named], storeCall()))[0]).class).toBe(errorClass);
    expect(bench.standin.valueOf(id)).toBe('v');
  });

  for (const known of [false, true]) {
    it.each(WRITE_FAULTS)(
      `says what a write came to, one attempt only (known: ${known}): %s`,
      async (_name, fault, errorClass, applied, landed) => {
        const id = freshId();
        const before = known ? await put(await bench.manager(), id, 'before') : null;
        bench.operations();
        bench.standin.fault(fault);
        const call = storeCall();
        const more = before === null ? {} : { known: true, expectedVersion: before.version };
        const { store } = await managerFor(fault);
        const [result] = await store.put([putItem(id, 'MARKER-9c', more)], call);
        expect(errorOf(result)).toMatchObject({ class: errorClass, applied });
        expect(errorOf(result).message).not.toContain('MARKER-9c');
        expect(bench.operations()).toEqual(['POST data']);
        expect(call.admitted()).toBe(1);
        expect(bench.standin.valueOf(id)).toBe(landed ? 'MARKER-9c' : known ? 'before' : null);
      },
    );
  }

  it('says that nothing was applied where it is sealed, or nobody listens', async () => {
    const { store } = await bench.manager();
    bench.standin.isSealed = true;
    const [sealed] = await store.put([putItem(freshId(), 'v')], storeCall());
    expect(errorOf(sealed)).toMatchObject({ class: 'transient', applied: 'no' });
    expect(errorOf(sealed).message).toContain('unseal it');
    const gone = await Bench.open();
    const orphan = await gone.manager();
    await gone.standin.close();
    const [result] = await orphan.store.put([putItem(freshId(), 'v')], storeCall());
    expect(errorOf(result)).toMatchObject({ class: 'transient', applied: 'no' });
    await orphan.store.close();
  });

  it('reports throttled writes, not throttled reads, and names each request', async () => {
    const { store } = await bench.manager();
    bench.standin.fault({ kind: 'error', status: 429 });
    await store.get([{ reference: reference(freshId()) }], storeCall());
    expect(bench.throttles).toBe(0);
    await store.put([putItem(freshId(), 'v')], storeCall());
    expect(bench.throttles).toBe(1);
    expect(bench.requests.map(({ provider, call, result }) => [provider, call, result])).toEqual([
      ['vault', 'GET data', 'Throttled'],
      ['vault', 'POST data', 'Throttled'],
    ]);
  });

  it('ends when the caller gives up, long before the time is up', async () => {
    const { store } = await bench.manager({}, 60_000);
    bench.standin.fault({ kind: 'hang' });
    const controller = new AbortController();
    const asked = store.put([putItem(freshId(), 'v')], storeCall({ signal: controller.signal }));
    await expect.poll(() => bench.standin.calls.length).toBe(1);
    controller.abort();
    expect(errorOf((await asked)[0])).toMatchObject({ class: 'transient', applied: 'unknown' });
  });
});
