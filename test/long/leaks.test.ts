import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  produce,
  queryDatabase,
  readAll,
  runCli,
  TABLES,
  waitFor,
  type ReceivedRecord,
} from '../harness/index.js';
import { startAwsStandin } from '../harness/aws-standin/index.js';
import { createWorld, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

/** Sent as every password; what it looks like after the encodings that values pass through. */
const PLAIN_PART = 'mArKeR-7f3a91c2';
const MARKER = `${PLAIN_PART}/+"é`;
const SPELLINGS = [
  MARKER,
  PLAIN_PART,
  JSON.stringify(MARKER).slice(1, -1),
  Buffer.from(MARKER).toString('base64').slice(0, 20),
  Buffer.from(MARKER).toString('hex'),
  encodeURIComponent(MARKER),
];
const AT = 1_790_000_000_000;

function expectClean(what: string, text: string): void {
  const found = SPELLINGS.filter((spelling) => text.includes(spelling));
  expect(found, `${what} has the marker`).toEqual([]);
}

/** Good, refused and broken records, each with the marker in it. */
function recordsWithMarker(): { key: string; value: string }[] {
  const good = serviceEvent({ id: 'good', name: 'good', password: MARKER, timestampMs: AT });
  const second = serviceEvent({
    id: 'good',
    name: 'good',
    password: `${MARKER}2`,
    timestampMs: AT + 1,
    eventType: 'entityUpdated',
  });
  const tooLong = serviceEvent({ id: 'long', name: 'long', password: MARKER.repeat(6_000), timestampMs: AT });
  const wrongType = serviceEvent({ id: 'type', name: 'type', password: null, timestampMs: AT });
  Object.assign(wrongType.entity.connection.config, { password: { nested: MARKER } });
  const foreign = serviceEvent({
    id: 'foreign',
    name: 'foreign',
    password: `secret:/openmetadata/${MARKER}`,
    timestampMs: AT,
  });
  const sealed = serviceEvent({
    id: 'sealed',
    name: 'sealed',
    password: `fernet:${Buffer.from(MARKER).toString('base64')}`,
    timestampMs: AT,
  });
  const events = [good, second, tooLong, wrongType, sealed].map((event) => ({
    key: event.entityId,
    value: JSON.stringify(event),
  }));
  return [
    ...events,
    { key: foreign.entityId, value: JSON.stringify(foreign) },
    { key: 'torn', value: JSON.stringify(good).slice(0, -20) },
    { key: 'garbage', value: `{"password": ${MARKER}}` },
    { key: 'duplicate', value: `{"password":"${PLAIN_PART}","password":"x"}` },
  ];
}

async function tableTexts(url: string): Promise<string> {
  const rows = await Promise.all(TABLES.map((table) => queryDatabase({ url }, `SELECT * FROM ${table}`)));
  return JSON.stringify(rows);
}

function recordText({ key, value, headers }: ReceivedRecord): string {
  return [key, value?.toString('utf8'), JSON.stringify(headers)].join('\n');
}

async function deadLettersAndApplied(world: World, brokers: string): Promise<boolean> {
  const dead = await readAll(world.topics.deadLetter, { brokers });
  const secured = await readAll(world.topics.secured, { brokers });
  return dead.length >= 7 && secured.length >= 2;
}

describeWith(['kafka', 'postgres'], 'a marker sent as a secret', ({ kafka }) => {
  it('is nowhere but in the store', async () => {
    const standin = await startAwsStandin();
    const database = await createDatabase('postgres');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: database.url,
      manager: 'managed-aws',
      env: {
        ...awsClients(standin.url).env,
        LOG_LEVEL: 'trace',
        STORE_TIMEOUT_MS: '500',
        CLAIM_MS: '3000',
      },
    });
    standin.fault({
      kind: 'server-error',
      operation: 'CreateSecret',
      secretId: '/openmetadata/database/*',
      times: 2,
    });
    const worker = startWorker(world);
    await produce(world.topics.created, recordsWithMarker(), { brokers: kafka });
    await waitFor(() => deadLettersAndApplied(world, kafka), {
      what: 'two secured events, seven dead letters',
      timeoutMs: 60_000,
    });

    const address = /http:\/\/127\.0\.0\.1:\d+/.exec(await worker.waitForLine(/http:\/\/127/))?.[0];
    for (const path of ['/metrics', '/readyz', '/healthz'])
      expectClean(path, await (await fetch(`${address}${path}`)).text());
    expectClean('the process arguments', readFileSync(`/proc/${worker.pid}/cmdline`, 'utf8'));
    for (const args of [
      ['connections', 'list', '--json'],
      ['connections', 'show', 'good', '--json'],
      ['audit', 'list', '--json'],
      ['doctor', '--json'],
    ]) {
      const { stdout, stderr } = await runCli(args, { env: world.env });
      expectClean(args.join(' '), stdout + stderr);
    }
    expectClean('the tables', await tableTexts(database.url));
    for (const topic of [world.topics.secured, world.topics.deadLetter])
      for (const record of await readAll(topic, { brokers: kafka })) expectClean(topic, recordText(record));
    expect((await worker.stop()).code).toBe(0);
    expectClean('standard output', worker.stdout());
    expectClean('standard error', worker.stderr());
    const values = standin.secrets().map(({ value }) => value);
    expect(values).toEqual([`${MARKER}2`]);
    await standin.close();
  }, 120_000);
});
