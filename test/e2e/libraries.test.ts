import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generateKey } from '../../src/fernet/index.js';
import {
  createResolver,
  ingestionFromEnv,
  reveal,
  SecretAccessError,
  subscribeSecured,
} from '../../src/ingestion/index.js';
import type { Resolver } from '../../src/ingestion/index.js';
import { createPublisher, publisherFromEnv } from '../../src/publisher/index.js';
import type { Json, SecuredEvent } from '../../src/terms.js';
import { awsClients, describeWith, disposeLater, freshName, tmpDir, waitFor } from '../harness/index.js';
import { mysqlChange } from '../unit/publisher/support.js';
import { createWorld, securedEvents, startWorker, takeOver } from './fixture.js';
import type { World } from './fixture.js';

const secrets = (mark: string) => ({
  password: `p${mark}`,
  connectionOptions: { 'a/b~c.apiKey': `k${mark}`, url: `ftp://u:p${mark}@h` },
  list: [{ name: 'first', token: `t${mark}` }],
});

/** What an ingestion worker has of the environment: nothing of the worker's database. */
function resolverFor(world: World, more: Record<string, string> = {}): Resolver {
  const { DATABASE_URL: _, SECRET_MANAGER: __, ...env } = world.env;
  const resolver = createResolver(ingestionFromEnv({ ...env, ...more }).resolver);
  disposeLater(() => resolver.close());
  return resolver;
}

function configOf(filled: Json): unknown {
  return (filled as { connection: { config: unknown } } | null)?.connection.config;
}

describeWith(['kafka', 'moto'], 'publisher, worker and ingestion', ({ kafka, moto }) => {
  async function begin(manager: string, env: Readonly<Record<string, string>> = {}) {
    const folder = tmpDir('libraries');
    const vault = join(folder, 'demo.vault');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: `sqlite:${join(folder, 'worker.sqlite')}`,
      manager,
      env: {
        ...awsClients(moto).env,
        // The store remembers one installation under each name.
        OPENMETADATA_CLUSTER_NAME: freshName('cl').toLowerCase(),
        PUBLISHER_FERNET_KEY: generateKey(),
        LOCAL_VAULT_FILE: vault,
        ...env,
      },
    });
    const publisher = createPublisher(publisherFromEnv(world.env));
    disposeLater(() => publisher.close());
    const name = freshName('service');
    let time = Date.now() - 60_000;
    const publish = (mark: string) => {
      const { entity, ...change } = mysqlChange(secrets(mark), { timestamp: (time += 1_000) });
      return publisher.publish({
        ...change,
        entity: { ...entity, id: name, name, fullyQualifiedName: name },
      });
    };
    return { world, vault, publish };
  }

  it.each([
    ['db', 'with the database key'],
    ['db', 'with a key of its own'],
    ['local', 'plain'],
    ['local', 'sealed'],
    ['aws', 'plain'],
    ['aws-ssm', 'plain'],
    ['managed-aws', 'plain'],
    ['managed-aws', 'sealed'],
    ['managed-aws-ssm', 'plain'],
  ])('agree on every secret field under SECRET_MANAGER=%s, references %s', async (manager, references) => {
    const { world, publish } = await begin(manager, {
      ...(references === 'sealed' ? { SECURED_REFERENCES: 'sealed' } : {}),
      ...(['sealed', 'with a key of its own'].includes(references)
        ? { INGESTION_FERNET_KEY: generateKey() }
        : {}),
    });
    startWorker(world);
    const sent = await publish('-hidden-1');
    const [event] = await securedEvents(world, 1, kafka, 60_000);
    expect(event?.secretFields.map(({ path }) => path).sort()).toEqual([...sent.sealedFields].sort());
    expect(JSON.stringify(event)).not.toContain('hidden-1');
    const filled = await resolverFor(world).fill(event!);
    expect(configOf(reveal(filled!))).toMatchObject(secrets('-hidden-1'));
  });

  it('of a vault file that is not there or not ours is told as no access', async () => {
    const { world, vault, publish } = await begin('local');
    startWorker(world);
    await publish('-hidden-1');
    const [event] = await securedEvents(world, 1, kafka, 60_000);
    await resolverFor(world).fill(event!);
    for (const env of [
      { LOCAL_VAULT_FILE: `${vault}x` },
      { LOCAL_VAULT_FILE: '' },
      { FERNET_KEY: generateKey() },
    ])
      await expect(resolverFor(world, env).fill(event!)).rejects.toThrow(SecretAccessError);
  });

  it('after a restore of the database: the newer generation counts, whatever its revision', async () => {
    const { world, publish } = await begin('managed-aws');
    const first = startWorker(world);
    for (const mark of ['-1', '-2', '-3']) await publish(mark);
    await securedEvents(world, 3, kafka, 60_000);
    const handled: string[] = [];
    const env = ingestionFromEnv({ ...world.env, KAFKA_GROUP_ID: freshName('ingestion') });
    const resolver = resolverFor(world);
    const subscription = subscribeSecured({ ...env.subscription, resolver }, async ({ event, resolve }) => {
      const config = configOf(reveal((await resolve())!)) as { password: string };
      handled.push(`${event.revision} ${config.password}`);
    });
    disposeLater(() => subscription.stop());
    await waitFor(() => handled.length === 3, { what: 'three events', timeoutMs: 60_000 });
    await first.stop();
    // Another database, as after a loss: it counts revisions from one again.
    const fresh = join(tmpDir('restored'), 'worker.sqlite');
    const again = { DATABASE_URL: `sqlite:${fresh}`, KAFKA_GROUP_ID: freshName('again') };
    await takeOver({ ...world.env, ...again });
    startWorker(world, again);
    const all = await securedEvents(world, 6, kafka, 60_000);
    const [before, after] = [all[0], all.at(-1)] as [SecuredEvent, SecuredEvent];
    expect(after.generation).toBeGreaterThan(before.generation);
    await publish('-4');
    await waitFor(() => handled.includes('4 p-4'), { what: 'the event after it', timeoutMs: 60_000 });
    // The newest state of before must not come over the newer one again.
    expect(handled.slice(0, 3).map((each) => each.split(' ')[0])).toEqual(['1', '2', '3']);
    expect(handled.slice(3).map((each) => each.split(' ')[0])).toEqual(['1', '2', '3', '4']);
    expect(resolver.note(before)).toBe(false);
  });
});
