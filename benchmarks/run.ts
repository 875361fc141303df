import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import fernet from 'fernet';
import { compileCatalogue, createFieldFinder, shippedCatalogue } from '../src/catalog/index.js';
import { decodeRecord } from '../src/events/decode.js';
import { generateKey, KeyRing } from '../src/fernet/index.js';
import type { JsonObject } from '../src/terms.js';
import { awsClients } from '../test/harness/aws-clients.js';
import { StandinControl } from '../test/faults/soak/standin-process.js';
import { createDatabase } from '../test/harness/database.js';
import { ADDRESS_VARIABLES } from '../test/harness/names.js';
import { startParts } from '../test/harness/parts.js';
import { bareSdk, naiveLoop, rawGroupCommit } from './baselines.js';
import { changeEvent, recordOf, TOPICS } from './events.js';
import { listed, medianNs, rates, table, type Comparison, type Load, type Result } from './measure.js';
import { pipelineRun } from './pipeline.js';
import { filesOfAnEvent, kafka, lightLoad, memory, resolverCalls, startUp } from './scenarios.js';

/** One connection in two is changed again. */
const EVENTS = Number(process.env.BENCH_EVENTS ?? 10_000);
const CONNECTIONS = EVENTS / 2;

async function codec(): Promise<Result[]> {
  const key = generateKey();
  const ring = KeyRing.parse('KEY', key);
  const secret = new fernet.Secret(key);
  const text = 's3cr3t-pa55';
  const token = ring.seal(text);
  const baseline = 'npm fernet';
  const us = async (work: () => unknown): Promise<number> => (await medianNs(work)) / 1e3;
  return [
    {
      what: 'Fernet: seal 11 bytes',
      ours: await us(() => ring.seal(text)),
      baseline,
      base: await us(() => new fernet.Token({ secret, ttl: 0 }).encode(text)),
      unit: 'µs',
    },
    {
      what: 'Fernet: open 11 bytes',
      ours: await us(() => ring.open(token)),
      baseline,
      base: await us(() => new fernet.Token({ secret, token, ttl: 0 }).decode()),
      unit: 'µs',
    },
  ];
}

async function reading(): Promise<Result[]> {
  const record = recordOf(0, 1);
  const bytes = record.value ?? Buffer.alloc(0);
  const entity = changeEvent(0, 1)['entity'] as JsonObject;
  const finder = createFieldFinder({
    catalogue: compileCatalogue(shippedCatalogue(), {
      byName: 'externalise',
      unknownConnector: 'heuristic',
      extraPaths: [],
      excludedPaths: [],
    }),
    cleanSegment: (text) => text,
  });
  const target = { root: 'service', kind: 'database', serviceType: 'Mysql', entity } as const;
  const us = async (work: () => unknown): Promise<number> => (await medianNs(work)) / 1e3;
  return [
    {
      what: `decode an event of ${bytes.length} bytes`,
      ours: await us(() => decodeRecord(record, TOPICS, Date.now())),
      baseline: 'JSON.parse of it',
      base: await us(() => JSON.parse(bytes.toString('utf8')) as unknown),
      unit: 'µs',
    },
    {
      what: 'find the secret fields of its entity',
      ours: await us(() => finder.find(target)),
      baseline: 'structuredClone of it',
      base: await us(() => structuredClone(entity)),
      unit: 'µs',
    },
  ];
}

const loadOf = (lanes: number): Load => ({ events: EVENTS, connections: CONNECTIONS, lanes });

/** `db` mode: an event ends in the database. */
async function databases(): Promise<Comparison[]> {
  const lanes = 256;
  const group = await rawGroupCommit((await createDatabase('postgres')).url, loadOf(lanes));
  const naive = await naiveLoop((await createDatabase('postgres')).url, loadOf(lanes));
  const found: Comparison[] = [];
  for (const again of ['duplicates', 'unchanged'] as const) {
    const target = { url: (await createDatabase('postgres')).url, manager: 'db' };
    const run = await pipelineRun(target, loadOf(lanes), again);
    found.push({ what: `db, postgres, ${again}`, run, baseline: 'raw group commit', base: group });
  }
  for (const engine of ['postgres', 'mariadb', 'sqlite'] as const) {
    const run = await pipelineRun({ url: (await createDatabase(engine)).url, manager: 'db' }, loadOf(lanes));
    const what = `db, ${engine}, ${lanes} lanes`;
    found.push({ what, run, baseline: 'raw group commit', base: group });
    found.push({ what, run, baseline: 'naive loop', base: naive });
  }
  return found;
}

/** Secrets Manager that answers after 20 ms: each event has one value to write. */
async function stores(): Promise<Comparison[]> {
  const found: Comparison[] = [];
  for (const lanes of [32, 100]) {
    const standin = await StandinControl.start();
    await standin.configure({ latencyMs: 20 });
    const { env } = awsClients(standin.url);
    const base = await bareSdk(env, loadOf(lanes));
    const target = { url: (await createDatabase('postgres')).url, manager: 'managed-aws', env };
    const run = await pipelineRun(target, loadOf(lanes));
    await standin.stop();
    found.push({ what: `store with 20 ms, postgres, ${lanes} lanes`, run, baseline: 'bare SDK', base });
  }
  return found;
}

const parts = await startParts((line) => {
  console.error(`# ${line}`);
});
for (const [name, state] of Object.entries(parts.states))
  if (state.up) process.env[ADDRESS_VARIABLES[name as keyof typeof ADDRESS_VARIABLES]] = state.address;
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const wants = (name: string): boolean => only.length === 0 || only.includes(name);
/** A million events take a quarter of an hour: only by name. */
const wantsMemory = only.includes('memory');
const sections: string[] = [];
if (wants('calls')) sections.push(table([...(await codec()), ...(await reading())]));
const compared = [
  ...(wants('databases') ? await databases() : []),
  ...(wants('stores') ? await stores() : []),
];
if (compared.length > 0) sections.push(rates(compared));
const brokers = process.env[ADDRESS_VARIABLES.kafka] ?? '';
const figures = [
  ...(wants('kafka') ? await kafka(brokers, EVENTS) : []),
  ...(wants('light') ? await lightLoad() : []),
  ...(wants('resolver') ? await resolverCalls() : []),
  ...(wants('program') ? [...(await startUp()), ...(await filesOfAnEvent())] : []),
  ...(wantsMemory ? await memory(Number(process.env.BENCH_MEMORY_EVENTS ?? 1_000_000)) : []),
];
if (figures.length > 0) sections.push(listed(figures));
await parts.stop();
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, Node ${process.version}, ${process.platform}`;
/** Seen in processor profiles of the runs. */
const LIMITS =
  "What limits them: `db` is limited by the worker's one thread (deciding and sealing take half of it, garbage collection " +
  'a tenth) and by PostgreSQL on the other core; a store with 20 ms by the processor time of a request and of an event.';
const text = [
  '# Benchmark results',
  '',
  'Each row is a ratio of two measurements of the same run. Times and rates are of this machine only.',
  '',
  `- command: \`npm run bench\``,
  `- machine: ${machine}`,
  `- events: ${EVENTS} of ${CONNECTIONS} connections, from bytes to the secured event, without Kafka`,
  '',
  sections.join('\n\n'),
  '',
  LIMITS,
  '',
].join('\n');
console.log(text);
if (process.argv.includes('--write')) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
