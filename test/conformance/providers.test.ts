import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { ListTagsForResourceCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import Database from 'better-sqlite3';
import { KeyRing } from '../../src/fernet/key-ring.js';
import { InMemoryStore } from '../../src/secrets-managers/in-memory/store.js';
import { ownerOf, Ownership, type Owner } from '../../src/secrets-managers/ownership.js';
import { createSecretsManager } from '../../src/secrets-managers/registry.js';
import { SecretValue } from '../../src/secret-value.js';
import { describeWith } from '../harness/describe-with.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import { freshToken, TEST_KEY, testSettings, type Fixture } from './fixture.js';
import { describeSealing } from './sealing-conformance.js';
import { describeStore } from './store-conformance.js';

const keys = KeyRing.parse('FERNET_KEY', TEST_KEY);

/** Tags as we write them, spelled here once more. */
function awsTags({ connectionId, installation }: Owner): { Key: string; Value: string }[] {
  return [
    { Key: 'managed-by', Value: 'connection-secrets-worker' },
    { Key: 'connection-id', Value: connectionId },
    ...(installation === null ? [] : [{ Key: 'installation', Value: installation }]),
  ];
}

async function openInMemory(): Promise<Fixture> {
  const manager = await createSecretsManager('in-memory', testSettings(), { keys });
  const { store } = manager;
  if (!(store instanceof InMemoryStore)) throw new Error('not the in-memory store');
  return {
    manager,
    restoresSameVersion: true,
    placeUnowned: (id, value) => {
      store.placeUnowned(id, new SecretValue(value));
      return Promise.resolve();
    },
    placeOwned: (id, value, owner) => {
      store.placeUnowned(id, new SecretValue(value), owner);
      return Promise.resolve();
    },
    ownerOf: (id) => Promise.resolve(store.ownerOf(id)),
    as: (installation) => Promise.resolve(store.as(new Ownership({ installation, tags: [] }))),
    close: () => store.close(),
  };
}

async function openLocal(): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'vault-'));
  const vaultFile = join(folder, 'test.vault');
  const settings = testSettings({ LOCAL_VAULT_FILE: vaultFile });
  const manager = await createSecretsManager('local', settings, { keys });
  const place = (id: string, value: string, owner: Owner | null): Promise<void> => {
    const database = new Database(vaultFile);
    const addVersion = database.prepare(
      'INSERT INTO version (secret_id, client_token, sealed) VALUES (?, ?, ?)',
    );
    const addSecret = database.prepare(
      'INSERT INTO secret (id, owner, installation, current) VALUES (?, ?, ?, ?)',
    );
    database.transaction(() => {
      const { lastInsertRowid } = addVersion.run(id, freshToken(), keys.seal(value));
      addSecret.run(id, owner?.connectionId ?? null, owner?.installation ?? null, lastInsertRowid);
    })();
    database.close();
    return Promise.resolve();
  };
  return {
    manager,
    restoresSameVersion: true,
    placeUnowned: (id, value) => place(id, value, null),
    placeOwned: place,
    ownerOf: (id) => {
      const database = new Database(vaultFile, { readonly: true });
      const row = database
        .prepare<[string], { owner: string | null; installation: string | null }>(
          'SELECT owner, installation FROM secret WHERE id = ?',
        )
        .get(id);
      database.close();
      const { owner = null, installation = null } = row ?? {};
      return Promise.resolve(owner === null ? null : { connectionId: owner, installation });
    },
    as: async (installation) =>
      (await createSecretsManager('local', { ...settings, installation }, { keys })).store,
    close: async () => {
      await manager.store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

const credentials = { accessKeyId: 'testing', secretAccessKey: 'testing' };

async function openSecretsManager(endpoint: string): Promise<Fixture> {
  const settings = testSettings({ AWS_ENDPOINT_URL: endpoint });
  const manager = await createSecretsManager('managed-aws', settings, { keys });
  const client = new SecretsManagerClient({ endpoint, region: 'eu-west-1', credentials });
  return {
    manager,
    restoresSameVersion: true,
    placeUnowned: async (id, value) => {
      await client.send(new CreateSecretCommand({ Name: id, SecretString: value }));
    },
    placeOwned: async (id, value, owner) => {
      await client.send(new CreateSecretCommand({ Name: id, SecretString: value, Tags: awsTags(owner) }));
    },
    ownerOf: async (id) => ownerOf((await client.send(new DescribeSecretCommand({ SecretId: id }))).Tags),
    as: async (installation) =>
      (await createSecretsManager('managed-aws', { ...settings, installation }, { keys })).store,
    close: async () => {
      client.destroy();
      await manager.store.close();
    },
  };
}

async function openSsm(endpoint: string): Promise<Fixture> {
  const settings = testSettings({ AWS_ENDPOINT_URL: endpoint });
  const manager = await createSecretsManager('managed-aws-ssm', settings, { keys });
  const client = new SSMClient({ endpoint, region: 'eu-west-1', credentials });
  return {
    manager,
    restoresSameVersion: false,
    placeUnowned: async (id, value) => {
      await client.send(new PutParameterCommand({ Name: id, Value: value, Type: 'SecureString' }));
    },
    placeOwned: async (id, value, owner) => {
      const tags = { Tags: awsTags(owner) };
      await client.send(new PutParameterCommand({ Name: id, Value: value, Type: 'SecureString', ...tags }));
    },
    ownerOf: async (id) => {
      const of = { ResourceType: 'Parameter' as const, ResourceId: id };
      return ownerOf((await client.send(new ListTagsForResourceCommand(of))).TagList);
    },
    as: async (installation) =>
      (await createSecretsManager('managed-aws-ssm', { ...settings, installation }, { keys })).store,
    close: async () => {
      client.destroy();
      await manager.store.close();
    },
  };
}

async function onStandin(open: (endpoint: string) => Promise<Fixture>): Promise<Fixture> {
  const standin = await startAwsStandin();
  const fixture = await open(standin.url);
  return {
    ...fixture,
    close: async () => {
      await fixture.close();
      await standin.close();
    },
  };
}

describeStore('in-memory', openInMemory);
describeStore('local', openLocal);
describeStore('managed-aws on the stand-in', () => onStandin(openSecretsManager));
describeStore('managed-aws-ssm on the stand-in', () => onStandin(openSsm));

describeWith(['moto'], 'moto', ({ moto }) => {
  describeStore('managed-aws', async () => ({
    ...(await openSecretsManager(moto)),
    isLaxOnScheduled: true,
  }));
  describeStore('managed-aws-ssm', () => openSsm(moto));
});

describeSealing('db', async () => {
  const manager = await createSecretsManager('db', testSettings(), { keys });
  return { manager, close: () => manager.store.close() };
});

for (const name of ['aws', 'aws-ssm'] as const) {
  describeSealing(`${name}, non-managed`, async () => {
    const standin = await startAwsStandin();
    const manager = await createSecretsManager(name, testSettings({ AWS_ENDPOINT_URL: standin.url }), {
      keys,
    });
    return {
      manager,
      close: async () => {
        await manager.store.close();
        await standin.close();
      },
    };
  });
}
