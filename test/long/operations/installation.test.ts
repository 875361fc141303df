import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  CreateSecretCommand,
  SecretsManagerClient,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-secrets-manager';
import {
  AddTagsToResourceCommand,
  PutParameterCommand,
  RemoveTagsFromResourceCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { createSecretsManager } from '../../../src/secrets-managers/registry.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  copyOfDatabase,
  createDatabase,
  describeWith,
  disposeLater,
  freshName,
  queryDatabase,
  tmpDir,
  usePart,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { changeEvent } from '../../components/cli/support.js';
import { storeCall, testSettings, valueOf } from '../../conformance/fixture.js';
import { runHere } from '../../components/operations/verify-worlds.js';
import { generateKey } from '../../../src/fernet/index.js';

type Manager = 'managed-aws' | 'managed-aws-ssm';

/** An installation, run by `pipe`; several on one store. */
class Installation {
  constructor(
    readonly manager: Manager,
    readonly endpoint: string,
    readonly cluster: string,
    readonly databaseUrl: string,
    readonly key = generateKey(),
  ) {}

  get env(): Record<string, string> {
    return {
      FERNET_KEY: this.key,
      SECRET_MANAGER: this.manager,
      DATABASE_URL: this.databaseUrl,
      OPENMETADATA_CLUSTER_NAME: this.cluster,
      SECRET_DELETION_GRACE_SECONDS: '0',
      AWS_ENDPOINT_URL: this.endpoint,
      OM_SM_REGION: AWS_REGION,
      OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
      OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
    };
  }

  /** A staging system made from a dump: same key, same account, same names. */
  async clone(cluster = this.cluster): Promise<Installation> {
    const { url } = await copyOfDatabase(this.databaseUrl);
    return new Installation(this.manager, this.endpoint, cluster, url, this.key);
  }

  in(cluster: string): Installation {
    return new Installation(this.manager, this.endpoint, cluster, this.databaseUrl, this.key);
  }

  pipe(...events: object[]) {
    return this.pipeUnder({}, ...events);
  }

  async pipeUnder(env: Record<string, string>, ...events: object[]) {
    const input = join(tmpDir('events'), 'in.ndjson');
    writeFileSync(input, events.map((event) => `${changeEvent(event)}\n`).join(''));
    return runHere(['pipe', '--in', input, '--out', join(tmpDir('out'), 'out.ndjson')], {
      ...this.env,
      ...env,
    });
  }

  doctor(...flags: string[]) {
    return runHere(['doctor', ...flags], this.env);
  }

  /** Value, version and tags of a password, read past the worker; null: it is not there. */
  async secret(name: string, cluster = this.cluster) {
    const manager = await createSecretsManager(
      this.manager,
      testSettings({ OM_SM_REGION: AWS_REGION, AWS_ENDPOINT_URL: this.endpoint }),
      { keys: { seal: String, open: String } },
    );
    const reference = `secret:/${cluster}/database/${name}/password` as const;
    try {
      const [value] = await manager.store.get([{ reference }], storeCall());
      if (value?.ok !== true) return null;
      const described = valueOf(await manager.store.describe(reference, storeCall()));
      return { value: value.value.value.reveal(), ...described };
    } finally {
      await manager.store.close();
    }
  }

  async setting(name: string): Promise<unknown> {
    const rows = await queryDatabase(
      { url: this.databaseUrl },
      `SELECT value FROM setting WHERE name = '${name}'`,
    );
    return rows[0]?.['value'];
  }
}

const AT = 1_790_000_000_000;
const first = { password: 'MARK-production', timestampMs: AT };
const changed = {
  eventId: '33333333-0000-4000-8000-000000000002',
  eventType: 'entityUpdated',
  password: 'MARK-staging',
  timestampMs: AT + 1_000,
};
const cleared = {
  ...changed,
  eventId: '33333333-0000-4000-8000-000000000003',
  password: null,
  timestampMs: AT + 2_000,
};

/** An installation that has put one secret into the store. */
async function newProduction(manager: Manager, endpoint: string, engine: 'sqlite' | 'postgres') {
  const { url } = await createDatabase(engine);
  const production = new Installation(manager, endpoint, freshName('cl').toLowerCase(), url);
  expect((await production.pipe(first)).code).toBe(0);
  return production;
}

/** Whatever becomes of a copy of its database, the original's secrets stay as they are. */
function describeCopies(production: () => Installation): void {
  it('refuses a copy of the database, and the original’s secrets stay as they are', async () => {
    const before = await production().secret('mysql-test');
    expect(before).toMatchObject({ value: 'MARK-production' });
    const clone = await production().clone();
    const refused = await clone.pipe(changed, cleared);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('STORE_OF_ANOTHER_INSTALLATION');
    expect(refused.stderr).toContain('Different here: the database (DATABASE_URL).');
    expect(await clone.doctor()).toMatchObject({ code: 1 });
    expect((await runHere(['verify', '--repair'], clone.env)).stderr).toContain(
      'STORE_OF_ANOTHER_INSTALLATION',
    );
    expect(await production().secret('mysql-test')).toEqual(before);
    expect((await production().pipe(first)).code).toBe(0);
  });

  it('refuses a copy under other names, too, until it is declared a copy, and then leaves the original’s secrets alone', async () => {
    const before = await production().secret('mysql-test');
    const other = freshName('cl').toLowerCase();
    const clone = await production().clone(other);
    expect(await clone.pipe(changed)).toMatchObject({ code: 2 });
    expect((await clone.in(production().cluster).doctor('--copied')).stderr).toContain(
      'OPENMETADATA_CLUSTER_NAME',
    );
    expect((await clone.doctor('--copied')).stdout).toContain('is the installation');
    expect(await clone.setting('installation')).not.toBe(await production().setting('installation'));
    // A new password goes under the copy's own name; the old one is retired there, and deleted nowhere.
    expect((await clone.pipe(changed)).code).toBe(0);
    expect(await production().secret('mysql-test', other)).toMatchObject({ value: 'MARK-staging' });
    expect((await clone.pipe(cleared)).code).toBe(0);
    expect(await production().secret('mysql-test')).toEqual(before);
    const states = await queryDatabase(
      { url: clone.databaseUrl },
      'SELECT secret_id, state FROM stored_secret ORDER BY secret_id',
    );
    expect(states.map(({ state }) => state)).toEqual(['deleted', 'deleted']);
    expect(await clone.in(production().cluster).pipe(first)).toMatchObject({ code: 2 });
    expect((await production().pipe(first)).code).toBe(0);
  });
}

function describeInstallations(manager: Manager, endpointOf: () => Promise<string>): void {
  let production: Installation;
  beforeEach(async () => {
    production = await newProduction(manager, await endpointOf(), 'sqlite');
  });
  describeCopies(() => production);

  it('refuses a second installation under the same names, which takes nothing over by --moved or --restored', async () => {
    const { url } = await createDatabase('sqlite');
    const second = new Installation(manager, production.endpoint, production.cluster, url);
    const refused = await second.pipe(changed);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('STORE_OF_ANOTHER_INSTALLATION');
    expect(refused.stderr).toContain(String(await production.setting('installation')));
    for (const flag of ['--moved', '--restored'])
      expect(await second.doctor(flag)).toMatchObject({ code: 2 });
    expect(await production.secret('mysql-test')).toMatchObject({ value: 'MARK-production' });
    const elsewhere = second.in(freshName('cl').toLowerCase());
    expect((await elsewhere.pipe(first)).code).toBe(0);
  });

  it.each(['--moved', '--restored'])(
    'lets the right one go on after %s, and the other one not',
    async (flag) => {
      const moved = await production.clone();
      expect(await moved.pipe(changed)).toMatchObject({ code: 2 });
      const declared = await moved.doctor(flag);
      expect(declared.code, declared.stdout).toBe(0);
      expect((await moved.pipe(changed)).code).toBe(0);
      expect(await moved.secret('mysql-test')).toMatchObject({ value: 'MARK-staging' });
      expect(await production.pipe(first)).toMatchObject({ code: 2 });
    },
  );

  it('lets an empty database take the place of a lost one', async () => {
    const { url } = await createDatabase('sqlite');
    const rebuilt = new Installation(manager, production.endpoint, production.cluster, url);
    expect(await rebuilt.pipe(changed)).toMatchObject({ code: 2 });
    const lost = String(await production.setting('installation'));
    expect((await rebuilt.doctor('--take-over', 'somebody')).code).toBe(2);
    const declared = await rebuilt.doctor('--take-over', lost);
    expect(declared.code, declared.stdout + declared.stderr).toBe(0);
    expect((await rebuilt.pipe(changed)).code).toBe(0);
    expect(await rebuilt.secret('mysql-test')).toMatchObject({ value: 'MARK-staging' });
    expect(await production.pipe(first)).toMatchObject({ code: 2 });
  });

  it('does not let a database with secrets take the place of another', async () => {
    const { url } = await createDatabase('sqlite');
    const second = new Installation(manager, production.endpoint, freshName('cl').toLowerCase(), url);
    expect((await second.pipe(first)).code).toBe(0);
    const refused = await second
      .in(production.cluster)
      .doctor('--take-over', String(await production.setting('installation')));
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('has secrets of its own');
  });

  it('tags the secrets of version 0.1 by verify --repair', async () => {
    await untag(production, 'mysql-test', ['installation']);
    await expectTagged(production, 'mysql-test', 'MARK-production', 'carries no tag of an installation');
  });

  it.each([
    ['no tags', () => [], 'carries no tag of ours'],
    ['the tags of version 0.1', tagsOfVersion01, 'carries no tag of an installation'],
  ])('tags what was taken over by reference with %s, by verify --repair', async (_, tagsOf, why) => {
    // A run that finds nothing makes writes look at no tags any more; what is adopted later is found all the same.
    expect(await runHere(['verify', '--repair'], production.env)).toMatchObject({ code: 0 });
    const id = 'c0ffee00-0000-4000-8000-00000000ad09';
    const taken = { id, name: 'taken', eventId: '33333333-0000-4000-8000-0000000000a1' };
    const secretId = await place(production, 'taken', 'MARK-taken', tagsOf(id));
    const adopting = { SECRET_ADOPT: 'true' };
    const referring = { ...taken, password: `secret:${secretId}`, timestampMs: AT };
    expect((await production.pipeUnder(adopting, referring)).code).toBe(0);
    await expectTagged(production, 'taken', 'MARK-taken', why);
    // And it is changed from then on as any other.
    const later = { ...taken, eventId: '33333333-0000-4000-8000-0000000000a2', timestampMs: AT + 1_000 };
    expect((await production.pipe({ ...later, password: 'MARK-later' })).code).toBe(0);
    expect(await production.secret('taken')).toMatchObject({ value: 'MARK-later', installation: 'another' });
  });

  it('does not tag a secret adopted by reference that now has the tags of another connection', async () => {
    const id = 'c0ffee00-0000-4000-8000-00000000ad09';
    const secretId = await place(production, 'taken', 'MARK-taken', []);
    const referring = { id, name: 'taken', password: `secret:${secretId}`, timestampMs: AT };
    const adopting = { SECRET_ADOPT: 'true' };
    const eventId = '33333333-0000-4000-8000-0000000000a1';
    expect((await production.pipeUnder(adopting, { ...referring, eventId })).code).toBe(0);
    await tag(production, 'taken', tagsOfVersion01('somebody-else'));
    const repaired = await runHere(['verify', '--repair'], production.env);
    expect(repaired.code).toBe(1);
    expect(repaired.stdout).toContain('is tagged for connection somebody-else');
    expect(await production.secret('taken')).toMatchObject({ ownedBy: 'somebody-else' });
  });
}

/** A secret that somebody else has put into the store; returns its name. */
async function place(
  { manager, endpoint, cluster }: Installation,
  name: string,
  value: string,
  tags: { Key: string; Value: string }[],
): Promise<string> {
  const id = `/${cluster}/database/${name}/password`;
  if (manager === 'managed-aws')
    await new SecretsManagerClient(clientConfig(endpoint)).send(
      new CreateSecretCommand({ Name: id, SecretString: value, Tags: tags }),
    );
  else
    await new SSMClient(clientConfig(endpoint)).send(
      new PutParameterCommand({ Name: id, Value: value, Type: 'SecureString', Tags: tags }),
    );
  return id;
}

const clientConfig = (endpoint: string) => ({
  endpoint,
  region: AWS_REGION,
  credentials: AWS_CREDENTIALS,
});

function tagsOfVersion01(connectionId: string) {
  return [
    { Key: 'managed-by', Value: 'connection-secrets-worker' },
    { Key: 'connection-id', Value: connectionId },
  ];
}

async function tag(
  { manager, endpoint, cluster }: Installation,
  name: string,
  tags: { Key: string; Value: string }[],
): Promise<void> {
  const id = `/${cluster}/database/${name}/password`;
  const config = clientConfig(endpoint);
  if (manager === 'managed-aws')
    await new SecretsManagerClient(config).send(new TagResourceCommand({ SecretId: id, Tags: tags }));
  else
    await new SSMClient(config).send(
      new AddTagsToResourceCommand({ ResourceType: 'Parameter', ResourceId: id, Tags: tags }),
    );
}

async function untag(
  { manager, endpoint, cluster }: Installation,
  name: string,
  keys: string[],
): Promise<void> {
  const id = `/${cluster}/database/${name}/password`;
  const config = clientConfig(endpoint);
  if (manager === 'managed-aws')
    await new SecretsManagerClient(config).send(new UntagResourceCommand({ SecretId: id, TagKeys: keys }));
  else
    await new SSMClient(config).send(
      new RemoveTagsFromResourceCommand({ ResourceType: 'Parameter', ResourceId: id, TagKeys: keys }),
    );
}

/** `verify` finds that a secret's tags are not whole; with `--repair` they are. */
async function expectTagged(
  installation: Installation,
  name: string,
  value: string,
  why: string,
): Promise<void> {
  // The reader that looks is no installation: to it a tagged one is another's.
  expect(await installation.secret(name)).toMatchObject({ installation: 'missing' });
  const found = await runHere(['verify'], installation.env);
  expect(found).toMatchObject({ code: 1 });
  expect(found.stdout).toContain(why);
  const repaired = await runHere(['verify', '--repair'], installation.env);
  expect(repaired.code, repaired.stdout).toBe(0);
  expect(await installation.secret(name)).toMatchObject({ value, installation: 'another' });
}

for (const manager of ['managed-aws', 'managed-aws-ssm'] as const) {
  describe(`${manager} on the stand-in`, () => {
    describeInstallations(manager, async () => {
      const standin = await startAwsStandin();
      disposeLater(() => standin.close());
      return standin.url;
    });
  });
  describeWith(['moto'], `${manager} on moto`, () => {
    describeInstallations(manager, () => Promise.resolve(usePart('moto')));
  });
  describeWith(['moto', 'postgres'], `${manager} on moto, a dump of PostgreSQL`, () => {
    let production: Installation;
    beforeEach(async () => {
      production = await newProduction(manager, usePart('moto'), 'postgres');
    });
    describeCopies(() => production);
  });
}
