import { readdirSync, readFileSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect, it, vi } from 'vitest';
import { createLogger } from '../../../src/observability/logger.js';
import { createPublisher } from '../../../src/publisher/index.js';
import type { EntityChange, Publisher, PublisherOptions } from '../../../src/publisher/index.js';
import {
  createTopics,
  describeWith,
  describeWithOwn,
  disposeLater,
  freePort,
  freshName,
  jsonOf,
  readAll,
  startKafka,
  waitFor,
} from '../../harness/index.js';
import { requireMessage } from '../../harness/asyncapi.js';
import { KEY, mysqlChange, opened } from '../../unit/publisher/support.js';

interface Bench {
  readonly topics: { created: string; updated: string; deleted: string };
  readonly publisher: Publisher;
  readonly log: () => string;
}

async function bench(brokers: string, options: Partial<PublisherOptions> = {}): Promise<Bench> {
  const name = freshName('publisher');
  const topics = { created: `${name}.created`, updated: `${name}.updated`, deleted: `${name}.deleted` };
  await createTopics(
    Object.values(topics).map((topic) => ({ topic, partitions: 3 })),
    { brokers },
  );
  return { topics, ...publisherOn(brokers, { topics, ...options }) };
}

function publisherOn(brokers: string, options: Partial<PublisherOptions>): Omit<Bench, 'topics'> {
  let log = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      log += chunk.toString();
      next();
    },
  });
  const publisher = createPublisher({
    kafka: { brokers: brokers.split(','), requestTimeoutMs: 5_000 },
    fernetKeys: KEY,
    logger: createLogger({ level: 'trace', stream }),
    ...options,
  });
  disposeLater(() => publisher.close());
  return { publisher, log: () => log };
}

/** The change number `at` of a connection, with a password that says so. */
function changeOf(id: string, at: number, changes: Partial<EntityChange> = {}): EntityChange {
  const change = mysqlChange({ password: `secret-text-${at}` }, { timestamp: 1_700_000_000_000 + at });
  return { ...change, id: `${id}-${at}`, entity: { ...change.entity, id, name: id }, ...changes };
}

describeWith(['kafka'], 'publishing', ({ kafka: brokers }) => {
  it('writes what it was given, under the entity’s id, in the order of the calls', async () => {
    const { topics, publisher, log } = await bench(brokers);
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const calls = Array.from({ length: 40 }, (_, at) =>
      ids.map((id) => publisher.publish(changeOf(id, at))),
    ).flat();
    const sent = await Promise.all(calls);
    expect(sent).toHaveLength(200);
    const records = await readAll(topics.updated, { brokers });
    expect(records).toHaveLength(200);
    for (const id of ids) {
      const own = records.filter(({ key }) => key === id);
      expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
      const passwords = own.map((record) => {
        const { data } = jsonOf(record) as { data: { entity: never } };
        return (opened(data.entity) as { connection: { config: { password: string } } }).connection.config
          .password;
      });
      expect(passwords).toEqual(Array.from({ length: 40 }, (_, at) => `secret-text-${at}`));
    }
    expect(log()).not.toContain('secret-text');
  });

  it('sends several in one request, or none where one is refused', async () => {
    const { topics, publisher } = await bench(brokers);
    const bad = changeOf('bad', 1, { entityType: 'table' });
    await expect(publisher.publishAll([changeOf('a', 1), bad])).rejects.toMatchObject({
      code: 'ENTITY_TYPE_UNSUPPORTED',
    });
    expect(await readAll(topics.updated, { brokers })).toEqual([]);
    await publisher.publishAll([
      changeOf('a', 1, { eventType: 'entityCreated' }),
      changeOf('a', 2),
      changeOf('a', 3, { eventType: 'entityDeleted' }),
    ]);
    for (const channel of ['created', 'updated', 'deleted'] as const) {
      const records = await readAll(topics[channel], { brokers });
      expect(records).toHaveLength(1);
      for (const record of records) requireMessage(channel, record);
    }
  });

  it('finishes what it was given when it is closed, and takes nothing more', async () => {
    const { topics, publisher } = await bench(brokers);
    const sent = Promise.all([publisher.publish(changeOf('a', 1)), publisher.publish(changeOf('a', 2))]);
    await publisher.close();
    await sent;
    expect(await readAll(topics.updated, { brokers })).toHaveLength(2);
    await expect(publisher.publish(changeOf('a', 3))).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });

  it('asks for the acknowledgement of all in-sync replicas', async () => {
    // One broker alone cannot refuse for want of replicas (it asks for no more than a topic has): so on the wire.
    const sent = vi.spyOn(Socket.prototype, 'write');
    disposeLater(() => {
      sent.mockRestore();
    });
    const { publisher } = await bench(brokers);
    await publisher.publish(changeOf('a', 1));
    const acks = sent.mock.calls.flatMap(([bytes]) => acksOf(bytes) ?? []);
    expect(acks).toEqual([-1]);
  });

  it('says so where a topic or the broker is missing, or a record is too large', async () => {
    const missing = publisherOn(brokers, { topics: { updated: freshName('no-such-topic') } }).publisher;
    await expect(missing.publish(changeOf('a', 1))).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    const nowhere = publisherOn(`127.0.0.1:${await freePort()}`, { sendTimeoutMs: 1_500 });
    const failed = nowhere.publisher.publish(changeOf('a', 1));
    await expect(failed).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(nowhere.log()).not.toContain('secret-text');
    const { publisher } = await bench(brokers);
    const large = changeOf('a', 1);
    const entity = { ...large.entity, description: 'x'.repeat(1_200_000) };
    await expect(publisher.publish({ ...large, entity })).rejects.toMatchObject({ code: 'OUTPUT_TOO_LARGE' });
    await publisher.publish(changeOf('a', 2));
  });

  it('refuses what is too large, and not what goes with it', async () => {
    const topic = freshName('small');
    await createTopics([{ topic, config: { 'max.message.bytes': '8000' } }], { brokers });
    const { publisher } = publisherOn(brokers, { topics: { updated: topic } });
    const large = changeOf('large', 1);
    const entity = { ...large.entity, description: 'x'.repeat(20_000) };
    const publishBoth = () =>
      Promise.allSettled([publisher.publish(changeOf('a', 1)), publisher.publish({ ...large, entity })]);
    // Together they are refused for a reason that may pass; by then the limit of the topic is known.
    for (const { status } of await publishBoth()) expect(status).toBe('rejected');
    const [first, second] = await waitFor(
      async () => {
        const results = await publishBoth();
        return results[0].status === 'fulfilled' && results;
      },
      { what: 'the limit to be known' },
    );
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ reason: { code: 'OUTPUT_TOO_LARGE' } });
    expect((await readAll(topic, { brokers })).map(({ key }) => key)).toEqual(['a']);
  });
});

/** Of a Produce request (api key 0, version 3 or later) with the publisher's client id; null: it is something else. */
function acksOf(request: unknown): number | null {
  if (!Buffer.isBuffer(request) || request.length < 20 || request.readInt16BE(4) !== 0) return null;
  const clientEnd = 14 + request.readInt16BE(12);
  if (request.toString('latin1', 14, clientEnd) !== 'connection-secrets-publisher') return null;
  const transactionalIdLength = Math.max(0, request.readInt16BE(clientEnd));
  return request.readInt16BE(clientEnd + 2 + transactionalIdLength);
}

describeWithOwn(['kafka'], 'the log segments of a broker', () => {
  it('hold no plain value of what the publisher wrote', async () => {
    const kafka = await startKafka();
    const marker = freshName('marker').slice('marker-'.length);
    const { publisher } = await bench(kafka.address);
    const config = (at: number) => ({
      hostPort: `plain-${marker}-${at}:3306`,
      password: `hidden-${marker}-${at}`,
      authType: { password: `hidden-${marker}-nested-${at}` },
      connectionOptions: { apiKey: `hidden-${marker}-map-${at}`, url: `mysql://u:hidden-${marker}-url@h/db` },
    });
    const changes = ['entityCreated', 'entityUpdated', 'entitySoftDeleted', 'entityDeleted'] as const;
    for (const eventType of changes) {
      for (const at of [1, 2, 3]) {
        const history = { changeDescription: { fieldsUpdated: [{ newValue: `hidden-${marker}-history` }] } };
        const change = mysqlChange(config(at), { eventType });
        await publisher.publish({ ...change, entity: { ...change.entity, ...history } });
      }
    }
    await publisher.close();
    await kafka.stop();
    const bytes = filesBelow(kafka.dataDir).map((file) => readFileSync(file, 'latin1'));
    // These files do hold the records: what is not secret can be read in them.
    expect(bytes.some((text) => text.includes(`plain-${marker}-3`))).toBe(true);
    for (const form of formsOf(`hidden-${marker}`))
      expect(bytes.filter((text) => text.includes(form))).toEqual([]);
  });
});

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((file) => statSync(file).isFile());
}

/** As it is, in hexadecimal, and in base64 at each of the three alignments. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
      .slice(4, -4),
  );
  return [text, bytes.toString('hex'), ...shifted];
}
