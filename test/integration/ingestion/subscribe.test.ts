import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { DeleteSecretCommand } from '@aws-sdk/client-secrets-manager';
import { expect, it } from 'vitest';
import {
  createResolver,
  reveal,
  SecretNotFoundError,
  subscribeSecured,
} from '../../../src/ingestion/index.js';
import type { SecuredHandler, SubscribeOptions, Subscription } from '../../../src/ingestion/index.js';
import { createLogger } from '../../../src/observability/logger.js';
import type { SecuredEvent } from '../../../src/terms.js';
import {
  awsClients,
  committedOffsets,
  createTopics,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  produce,
  PROJECT_DIR,
  startKafka,
  startProcess,
  tmpDir,
  waitFor,
} from '../../harness/index.js';
import { FakeReader } from '../../unit/ingestion/support.js';
import { awsOptions, eventOf, publishSecured, putParameter, putSecret, recordOf, STORES } from './support.js';

const NAME = '/shared/password';
const test = { store: { provider: 'test' } } as const;

interface Bench {
  readonly topic: string;
  readonly groupId: string;
  readonly reader: FakeReader;
  readonly log: () => string;
  subscribe(handler: SecuredHandler, options?: Partial<SubscribeOptions>): Subscription;
  send(events: readonly SecuredEvent[]): Promise<void>;
}

async function bench(brokers: string, partitions = 2): Promise<Bench> {
  const topic = freshName('secured');
  const groupId = freshName('ingestion');
  await createTopics([{ topic, partitions }], { brokers });
  const reader = new FakeReader();
  reader.values.set(`secret:${NAME}`, 'the-hidden-value');
  let log = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      log += chunk.toString();
      next();
    },
  });
  return {
    topic,
    groupId,
    reader,
    log: () => log,
    send: (events) => publishSecured(topic, events, brokers),
    subscribe: (handler, options = {}) => {
      const resolver = createResolver({ readers: { test: reader } });
      const subscription = subscribeSecured(
        {
          kafka: { brokers: brokers.split(','), sessionTimeoutMs: 6_000 },
          ...{ groupId, topic, resolver },
          backoff: { minMs: 20, maxMs: 200 },
          logger: createLogger({ level: 'debug', stream }),
          ...options,
        },
        handler,
      );
      disposeLater(() => subscription.stop(0));
      return subscription;
    },
  };
}

const sum = (offsets: ReadonlyMap<number, number>): number =>
  [...offsets.values()].reduce((total, offset) => total + Math.max(0, offset), 0);

describeWith(['kafka'], 'subscribing to secured events', ({ kafka: brokers }) => {
  it('hands over each event once, in order, with its values, and commits', async () => {
    const { topic, groupId, subscribe, send, log } = await bench(brokers);
    const ids = ['a', 'b', 'c', 'd'];
    const events = [1, 2, 3].flatMap((revision) => ids.map((id) => eventOf(id, revision, NAME, test)));
    await send(events);
    await send(events);
    await send([eventOf('a', 4, NAME, { ...test, operation: 'deleted', entity: null, secretFields: [] })]);
    const seen: string[] = [];
    subscribe(async ({ event, entity, resolve }) => {
      const filled = await resolve();
      if (filled !== null) {
        expect(reveal(filled)).toMatchObject({ connection: { config: { password: 'the-hidden-value' } } });
        expect(entity).toMatchObject({ connection: { config: { password: `secret:${NAME}` } } });
      }
      seen.push(`${event.connectionId}${event.revision}${filled === null ? ' gone' : ''}`);
    });
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 25, {
      what: 'the commit of all',
    });
    for (const id of ids)
      expect(seen.filter((each) => each.startsWith(id))).toEqual(
        [1, 2, 3].map((revision) => `${id}${revision}`).concat(id === 'a' ? ['a4 gone'] : []),
      );
    expect(log()).not.toContain('the-hidden-value');
  });

  it('tries again what fails, holds up no other connection, and commits nothing behind it', async () => {
    const { topic, groupId, subscribe, send, log } = await bench(brokers, 1);
    await send([eventOf('bad', 1, NAME, test), ...['x', 'y'].map((id) => eventOf(id, 1, NAME, test))]);
    let works = false;
    const seen: string[] = [];
    const first = subscribe(async ({ event, resolve }) => {
      const filled = await resolve();
      if (event.connectionId === 'bad' && !works)
        throw new Error(`login failed: ${JSON.stringify(reveal(filled!))}`);
      seen.push(`${event.connectionId}${event.revision}`);
    });
    await waitFor(() => seen.length === 2, { what: 'the others' });
    await send([eventOf('z', 1, NAME, test)]);
    await waitFor(() => seen.includes('z1'), { what: 'one that was sent later' });
    expect(sum(await committedOffsets(groupId, topic, { brokers }))).toBe(0);
    await first.stop();
    expect(sum(await committedOffsets(groupId, topic, { brokers }))).toBe(0);
    works = true;
    const again: string[] = [];
    subscribe(({ event }) => void again.push(event.connectionId));
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 4, {
      what: 'the commit of all',
    });
    expect(again).toContain('bad');
    expect(log()).toContain('handling failed');
    expect(log()).not.toContain('the-hidden-value');
  });

  it('reads to the end first where only the latest state is wanted, and hands over what comes later', async () => {
    const { topic, groupId, subscribe, send } = await bench(brokers, 1);
    const ids = ['a', 'b', 'c'];
    for (let revision = 1; revision <= 20; revision += 1)
      await send(ids.map((id) => eventOf(id, revision, NAME, test)));
    const seen: string[] = [];
    subscribe(({ event }) => void seen.push(`${event.connectionId}${event.revision}`), {
      from: 'latest-state',
      maxPending: 5,
    });
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 60, {
      what: 'the commit of all',
    });
    expect(seen.sort()).toEqual(['a20', 'b20', 'c20']);
    await send([eventOf('a', 21, NAME, test), eventOf('a', 22, NAME, test)]);
    await waitFor(() => seen.length === 5, { what: 'what came later' });
    expect(seen.slice(3)).toEqual(['a21', 'a22']);
  });

  it('reads no further than allowed, and on when there is room', async () => {
    const { topic, groupId, subscribe, send } = await bench(brokers, 1);
    const count = 60;
    await send(Array.from({ length: count }, (_, at) => eventOf(`c${at}`, 1, NAME, test)));
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let begun = 0;
    subscribe(
      async () => {
        begun += 1;
        await gate;
      },
      { maxPending: 10, concurrency: 100 },
    );
    await waitFor(() => begun === 10, { what: 'ten events' });
    // Whatever else is fetched now must not begin: another topic's commit shows that time went by.
    const other = await bench(brokers, 1);
    await other.send([eventOf('o', 1, NAME, test)]);
    const subscribed = other.subscribe(() => undefined);
    await waitFor(async () => sum(await committedOffsets(other.groupId, other.topic, { brokers })) === 1, {
      what: 'the other topic',
    });
    await subscribed.stop();
    expect(begun).toBe(10);
    open();
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === count, {
      what: 'the commit of all',
    });
    expect(begun).toBe(count);
  });

  it('holds the offset of what it cannot read and goes on, or skips it where told so', async () => {
    const { topic, groupId, subscribe, send, log } = await bench(brokers, 1);
    await send([eventOf('a', 1, NAME, test)]);
    const newer = recordOf(eventOf('a', 2, NAME, test));
    const value = String(newer.value).replace('"managed-aws"', '{"of-the-future":1}');
    await produce(
      topic,
      [
        { ...newer, value },
        { key: 'a', value: null },
      ],
      { brokers },
    );
    await send([eventOf('b', 1, NAME, test)]);
    const seen: string[] = [];
    const held = subscribe(({ event }) => void seen.push(event.connectionId));
    await waitFor(() => seen.includes('b'), { what: 'what follows' });
    await held.stop();
    expect(sum(await committedOffsets(groupId, topic, { brokers }))).toBe(1);
    expect(log()).toContain('/data/manager must be');
    expect(log()).not.toContain('of-the-future');
    subscribe(({ event }) => void seen.push(event.connectionId), { unreadable: 'skip' });
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 4, {
      what: 'the commit behind it',
    });
  });

  it('shares partitions with another member: every event is handled, per connection in order', async () => {
    const { topic, groupId, subscribe, send } = await bench(brokers, 4);
    const seen: string[] = [];
    const handler: SecuredHandler = async ({ event }) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      seen.push(`${event.connectionId} ${event.revision}`);
    };
    const ids = Array.from({ length: 12 }, (_, at) => `c${at}`);
    const round = (revision: number) => send(ids.map((id) => eventOf(id, revision, NAME, test)));
    const first = subscribe(handler);
    for (let revision = 1; revision <= 10; revision += 1) await round(revision);
    const second = subscribe(handler);
    await waitFor(() => second.state().partitions.length > 0, {
      what: 'the second member',
      timeoutMs: 30_000,
    });
    for (let revision = 11; revision <= 20; revision += 1) await round(revision);
    await first.stop();
    for (let revision = 21; revision <= 25; revision += 1) await round(revision);
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 25 * ids.length, {
      what: 'the commit of all',
      timeoutMs: 30_000,
    });
    for (const id of ids) {
      const revisions = seen.flatMap((each) =>
        each.split(' ')[0] === id ? [Number(each.split(' ')[1])] : [],
      );
      expect(new Set(revisions).size).toBe(25);
      const firsts = [...new Set(revisions)];
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
    }
  });
});

describeWith(['kafka', 'moto'], 'a subscriber that is killed', ({ kafka: brokers, moto }) => {
  it('loses nothing and keeps the order of each connection', async () => {
    const clients = awsClients(moto);
    const { topic, groupId, send } = await bench(brokers, 3);
    const name = `/${freshName('killed')}/password`;
    await putSecret(clients, name, 'the-hidden-value');
    const file = join(tmpDir('killed'), 'handled');
    const start = () =>
      startProcess({
        command: process.execPath,
        args: ['--import', 'tsx', join('test', 'integration', 'ingestion', 'subscriber-process.ts')],
        cwd: PROJECT_DIR,
        env: {
          ...clients.env,
          ...{ KAFKA_BROKERS: brokers, KAFKA_GROUP_ID: groupId, TOPIC_SECURED: topic, OUT_FILE: file },
          KAFKA_SESSION_TIMEOUT_MS: '6000',
        },
      });
    const lines = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);
    const ids = Array.from({ length: 40 }, (_, at) => `c${at}`);
    let subscriber = start();
    for (let revision = 1; revision <= 15; revision += 1) {
      await send(ids.map((id) => eventOf(id, revision, name)));
      if (revision % 5 !== 0) continue;
      const before = lines().length;
      await waitFor(() => lines().length > before + 20, { what: 'progress', timeoutMs: 40_000 });
      subscriber.kill();
      await subscriber.waitForExit();
      subscriber = start();
    }
    await waitFor(async () => sum(await committedOffsets(groupId, topic, { brokers })) === 15 * ids.length, {
      what: 'the commit of all',
      timeoutMs: 60_000,
    });
    const handled = lines();
    for (const id of ids) {
      const revisions = handled.flatMap((line) =>
        line.split(' ')[0] === id ? [Number(line.split(' ')[1])] : [],
      );
      expect([...new Set(revisions)]).toEqual(Array.from({ length: 15 }, (_, at) => at + 1));
      expect(revisions.at(-1)).toBe(15);
    }
    expect(subscriber.stdout() + subscriber.stderr()).not.toContain('the-hidden-value');
  }, 180_000);

  it('follows a secret from one store to the next', async () => {
    const clients = awsClients(moto);
    const { topic, groupId, send } = await bench(brokers, 1);
    const name = `/${freshName('moves')}/password`;
    await putSecret(clients, name, 'value-one');
    const resolver = createResolver({ settings: awsOptions(moto) });
    disposeLater(() => resolver.close());
    const values: unknown[] = [];
    const subscription = subscribeSecured(
      { kafka: { brokers: brokers.split(',') }, groupId, topic, resolver },
      async (delivery) => {
        const filled = await delivery.resolve();
        values.push(reveal(filled!)['connection']);
      },
    );
    disposeLater(() => subscription.stop());
    await send([eventOf('m', 1, name)]);
    await waitFor(() => values.length === 1, { what: 'the first value' });
    await putParameter(clients, name, 'value-two');
    await send([eventOf('m', 2, name, { store: STORES.ssm, operation: 'migrated' })]);
    await waitFor(() => values.length === 2, { what: 'the second value' });
    expect(values).toEqual(['value-one', 'value-two'].map((password) => ({ config: { password } })));
    // Who still holds an event of before can use it for as long as its store has the secret, and no longer.
    const older = await resolver.fill(eventOf('m', 1, name));
    expect(reveal(older!)['connection']).toEqual({ config: { password: 'value-one' } });
    await clients.secretsManager.send(
      new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true }),
    );
    await expect(resolver.fill(eventOf('m', 1, name), { fresh: true })).rejects.toThrow(SecretNotFoundError);
    const newest = await resolver.fill(eventOf('m', 2, name, { store: STORES.ssm }), { fresh: true });
    expect(reveal(newest!)['connection']).toEqual({ config: { password: 'value-two' } });
  });
});

describeWithOwn(['kafka'], 'a broker that goes and comes back', () => {
  it('is waited for, at start and later', async () => {
    const kafka = await startKafka();
    const { subscribe, send } = await bench(kafka.address, 1);
    await send([eventOf('a', 1, NAME, test)]);
    await kafka.stop();
    const seen: number[] = [];
    const subscription = subscribe(({ event }) => void seen.push(event.revision));
    await waitFor(() => subscription.state().lastError !== null, { what: 'an attempt' });
    await kafka.start();
    await waitFor(() => seen.includes(1), { what: 'the first event', timeoutMs: 60_000 });
    await kafka.kill();
    await kafka.start();
    await send([eventOf('a', 2, NAME, test)]);
    await waitFor(() => seen.includes(2), { what: 'the second event', timeoutMs: 60_000 });
    expect(subscription.state().lastError).toBeNull();
    await subscription.stop();
  }, 180_000);
});
