import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { createResolver, SecretValue } from '../src/ingestion/index.js';
import { StandinControl } from '../test/faults/soak/standin-process.js';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  awsClients,
  CLI_FILE,
  createDatabase,
  createTopics,
  endOffsets,
  freshName,
  produce,
  quietKafka,
  runCli,
  startCli,
  tmpDir,
} from '../test/harness/index.js';
import { runCommand } from '../test/harness/run-command.js';
import { changeEvent } from './events.js';
import type { Figure } from './measure.js';
import { openPipeline } from './pipeline.js';

const STORE_MS = 20;
const PARTITIONS = 12;

async function standin(): Promise<StandinControl> {
  const store = await StandinControl.start();
  await store.configure({ latencyMs: STORE_MS });
  return store;
}

/** One event after another, with pauses: what one of them takes from its bytes to its secured record. */
export async function lightLoad(): Promise<Figure[]> {
  const store = await standin();
  const { env } = awsClients(store.url);
  const target = { url: (await createDatabase('postgres')).url, manager: 'managed-aws', env };
  const pipeline = await openPipeline(target, 32);
  const times: number[] = [];
  for (let index = 0; index < 220; index += 1) {
    const startMs = performance.now();
    await pipeline.handle(index, 110);
    if (index >= 20) times.push(performance.now() - startMs);
    await delay(10);
  }
  await pipeline.close();
  await store.stop();
  times.sort((left, right) => left - right);
  const p99 = times[Math.floor(times.length * 0.99)] ?? Number.NaN;
  return [
    {
      what: `light load, store with ${STORE_MS} ms: p99 from an event to its secured record`,
      figure: `${p99.toFixed(0)} ms = 15 ms + **${((p99 - 15) / STORE_MS).toFixed(2)}** × the store`,
    },
  ];
}

interface KafkaLoad {
  readonly workers: number;
  readonly events: number;
  readonly env: Readonly<Record<string, string>>;
}

/** Programs as users run them: events a second in the secured topic, without the first and the last tenth. */
async function throughKafka(brokers: string, { workers, events, env }: KafkaLoad): Promise<number> {
  const name = freshName('bench');
  const topics = Object.fromEntries(
    ['created', 'updated', 'deleted', 'secured', 'dead-letter'].map((part) => [part, `${name}-${part}`]),
  );
  await createTopics(
    Object.values(topics).map((topic) => ({ topic, partitions: PARTITIONS })),
    { brokers },
  );
  const settings = {
    ...env,
    KAFKA_BROKERS: brokers,
    KAFKA_GROUP_ID: name,
    TOPIC_CREATED: topics['created'] ?? '',
    TOPIC_UPDATED: topics['updated'] ?? '',
    TOPIC_DELETED: topics['deleted'] ?? '',
    TOPIC_SECURED: topics['secured'] ?? '',
    TOPIC_DEAD_LETTER: topics['dead-letter'] ?? '',
    DATABASE_URL: (await createDatabase('postgres')).url,
    FERNET_KEY: randomBytes(32).toString('base64'),
    SECRET_MANAGER_WRITES_PER_SECOND: '1000000',
    LOG_LEVEL: 'error',
    HTTP_PORT: '0',
  };
  const processes = Array.from({ length: workers }, () => startCli(['start'], settings));
  await untilAllAreMembers(brokers, name, workers);
  await produceEvents(brokers, topics['created'] ?? '', events);
  const rate = await rateOf(brokers, topics['secured'] ?? '', events);
  await Promise.all(processes.map((one) => one.stop(30_000)));
  return rate;
}

async function untilAllAreMembers(brokers: string, groupId: string, workers: number): Promise<void> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  for (let isStable = false; !isStable;) {
    await delay(200);
    const [group] = (await admin.describeGroups([groupId])).groups;
    isStable = group?.state === 'Stable' && group.members.length === workers;
  }
  await admin.disconnect();
}

async function produceEvents(brokers: string, topic: string, events: number): Promise<void> {
  const records = Array.from({ length: events }, (_, index) => {
    const value = JSON.stringify(changeEvent(index, events / 2));
    return { value, key: `connection-${index % (events / 2)}` };
  });
  for (let from = 0; from < events; from += 1_000)
    await produce(topic, records.slice(from, from + 1_000), { brokers });
}

/**
 * The first tenth warms the programs up. In the last tenth some workers have nothing left to do, because the keys of a
 * short run do not fill the partitions evenly.
 */
async function rateOf(brokers: string, topic: string, events: number): Promise<number> {
  let from: { readonly atMs: number; readonly count: number } | null = null;
  for (;;) {
    const count = [...(await endOffsets(topic, { brokers })).values()].reduce((sum, end) => sum + end, 0);
    const atMs = performance.now();
    if (from === null && count >= events / 10) from = { atMs, count };
    if (from !== null && count >= events * 0.9) return ((count - from.count) / (atMs - from.atMs)) * 1_000;
    await delay(20);
  }
}

/** The same records, read and sent as they are, a batch at a time. */
async function passThrough(brokers: string, events: number): Promise<number> {
  const source = freshName('bench-source');
  const target = freshName('bench-target');
  await createTopics(
    [source, target].map((topic) => ({ topic, partitions: PARTITIONS })),
    { brokers },
  );
  await produceEvents(brokers, source, events);
  const kafka = quietKafka(brokers);
  const producer = kafka.producer();
  const consumer = kafka.consumer({ groupId: source });
  await Promise.all([producer.connect(), consumer.connect()]);
  await consumer.subscribe({ topic: source, fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      const messages = batch.messages.map(({ key, value }) => ({ key, value }));
      await producer.send({ topic: target, messages });
    },
  });
  const rate = await rateOf(brokers, target, events);
  await consumer.disconnect();
  await producer.disconnect();
  return rate;
}

export async function kafka(brokers: string, events: number): Promise<Figure[]> {
  const base = await passThrough(brokers, events);
  const figures: Figure[] = [
    { what: 'Kafka, records passed through as they are', figure: `${base.toFixed(0)}/s` },
  ];
  for (const workers of [1, 2, 4]) {
    const rate = await throughKafka(brokers, { workers, events, env: { SECRET_MANAGER: 'db' } });
    const what = `Kafka, db, postgres, ${workers} worker${workers > 1 ? 's' : ''} ÷ passed through`;
    figures.push({ what, figure: `${rate.toFixed(0)}/s = **${(rate / base).toFixed(3)}**` });
  }
  return [...figures, ...(await twoWorkers(brokers, events / 2))];
}

/** Few lanes: the store is the limit, not the two cores that the workers share with Kafka, PostgreSQL and the stand-in. */
async function twoWorkers(brokers: string, events: number): Promise<Figure[]> {
  const rates: number[] = [];
  for (const workers of [1, 2]) {
    const store = await standin();
    const env = { ...awsClients(store.url).env, SECRET_MANAGER: 'managed-aws', WORKER_CONCURRENCY: '4' };
    rates.push(await throughKafka(brokers, { workers, events, env }));
    await store.stop();
  }
  const [one = Number.NaN, two = Number.NaN] = rates;
  const what = `Kafka, store with ${STORE_MS} ms, 4 lanes: two workers ÷ one`;
  return [{ what, figure: `${two.toFixed(0)}/s ÷ ${one.toFixed(0)}/s = **${(two / one).toFixed(2)}**` }];
}

/** Calls that the ingestion library needs for a thousand references, and once more while they are cached. */
export async function resolverCalls(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const provider of ['aws-secrets-manager', 'aws-ssm'] as const) {
    const store = await StandinControl.start();
    const { secretsManager, ssm } = awsClients(store.url);
    const names = Array.from({ length: 1_000 }, (_, index) => `/bench/secret-${index}`);
    for (const Name of names)
      await (provider === 'aws-ssm'
        ? ssm.send(new PutParameterCommand({ Name, Value: Name, Type: 'SecureString' }))
        : secretsManager.send(new CreateSecretCommand({ Name, SecretString: Name })));
    await store.forgetCalls();
    const endpoint = store.url;
    const resolver = createResolver({
      defaultStore: { provider, region: AWS_REGION },
      settings: {
        AWS_ENDPOINT_URL: endpoint,
        OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
        OM_SM_ACCESS_KEY: new SecretValue(AWS_CREDENTIALS.secretAccessKey),
      },
    });
    const references = names.map((name) => `secret:${name}`);
    await resolver.resolveAll(references);
    const first = await store.countCalls();
    await resolver.resolveAll(references);
    const again = (await store.countCalls()) - first;
    await resolver.close();
    await store.stop();
    figures.push({
      what: `resolver, ${provider}: calls for 1,000 references, and for the same once more`,
      figure: `**${first}**, **${again}**`,
    });
  }
  return figures;
}

/** What stays in memory while events go by: megabytes of the heap after a collection, when it was warm and at the end. */
export async function memory(events: number): Promise<Figure[]> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('memory needs `node --expose-gc`');
  const lanes = 256;
  const connections = 5_000;
  const target = { url: (await createDatabase('postgres')).url, manager: 'db' };
  const pipeline = await openPipeline(target, lanes);
  const heapMb = async (): Promise<number> => {
    await gc({ execution: 'async' });
    return process.memoryUsage().heapUsed / 1e6;
  };
  const run = async (from: number, to: number): Promise<number> => {
    const indexes = Array.from({ length: to - from }, (_, at) => from + at).values();
    const lane = async (): Promise<void> => {
      for (const index of indexes) await pipeline.handle(index, connections);
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return heapMb();
  };
  const warmAt = Math.min(50_000, events / 2);
  const warm = await run(0, warmAt);
  let end = warm;
  for (let from = warmAt; from < events; from += 50_000)
    end = await run(from, Math.min(events, from + 50_000));
  await pipeline.close();
  return [
    {
      what: `heap after ${warmAt} and after ${events} events, db, postgres`,
      figure: `${warm.toFixed(1)} MB, ${end.toFixed(1)} MB: **${(end - warm).toFixed(1)} MB** more`,
    },
  ];
}

/** From the start of the process to the end of `--version`, and of Node.js alone: medians of five. */
export async function startUp(): Promise<Figure[]> {
  const median = async (work: () => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const startMs = performance.now();
      await work();
      times.push(performance.now() - startMs);
    }
    return times.sort((left, right) => left - right)[2] ?? Number.NaN;
  };
  const ours = await median(() => runCli(['--version']));
  const node = await median(() => runCommand(process.execPath, ['-e', '0']));
  const figure = `${ours.toFixed(0)} ms ÷ ${node.toFixed(0)} ms = **${(ours / node).toFixed(1)}**`;
  return [{ what: '`connection-secrets --version` ÷ Node.js alone', figure }];
}

/** Files and functions of ours that run for one event more: V8's counts of two runs of `pipe`. */
export async function filesOfAnEvent(): Promise<Figure[]> {
  const events = [0, 1].map((index) => `${JSON.stringify(changeEvent(index, 2))}\n`);
  const one = await callsOf(events.slice(1).join(''));
  const both = await callsOf(events.join(''));
  const functions = [...both].flatMap(([name, count]) => (count > (one.get(name) ?? 0) ? [name] : []));
  const files = new Set(functions.map((name) => name.split('#', 1)[0]));
  const figure = `**${files.size}** files, ${functions.length} functions`;
  return [{ what: 'on the way of one event (`pipe`, local store, SQLite)', figure }];
}

interface CoveredScript {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { readonly startOffset: number; readonly count: number }[];
  }[];
}

/** How often each function of ours was called, by file, name and place. */
async function callsOf(input: string): Promise<Map<string, number>> {
  const folder = tmpDir('coverage');
  const coverage = join(folder, 'coverage');
  mkdirSync(coverage);
  writeFileSync(join(folder, 'in.ndjson'), input);
  const env = {
    NODE_V8_COVERAGE: coverage,
    FERNET_KEY: randomBytes(32).toString('base64'),
    SECRET_MANAGER: 'local',
    DATABASE_URL: `sqlite:${join(folder, 'db.sqlite')}`,
    LOCAL_VAULT_FILE: join(folder, 'vault.json'),
  };
  const args = ['pipe', '--in', join(folder, 'in.ndjson'), '--out', join(folder, 'out.ndjson')];
  const { code, stderr } = await runCli(args, { env, cwd: folder });
  if (code !== 0) throw new Error(stderr);
  const ours = pathToFileURL(join(CLI_FILE, '..', '..', '..', '/')).href;
  const calls = new Map<string, number>();
  for (const file of readdirSync(coverage)) {
    const { result } = JSON.parse(readFileSync(join(coverage, file), 'utf8')) as { result: CoveredScript[] };
    for (const { url, functions } of result.filter((script) => script.url.startsWith(ours)))
      for (const { functionName, ranges } of functions) {
        const [{ startOffset, count } = { startOffset: 0, count: 0 }] = ranges;
        const name = `${url}#${functionName}#${startOffset}`;
        calls.set(name, (calls.get(name) ?? 0) + count);
      }
  }
  return calls;
}
