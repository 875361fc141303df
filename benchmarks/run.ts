import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import fernet from 'fernet';
import { openWorker } from '../src/app.js';
import { compileCatalogue, createFieldFinder, shippedCatalogue } from '../src/catalog/index.js';
import { loadConfig } from '../src/config.js';
import { decodeRecord } from '../src/events/decode.js';
import { generateKey, KeyRing } from '../src/fernet/index.js';
import type { JsonObject, SourceRecord } from '../src/terms.js';
import { medianNs, table, type Result } from './measure.js';

const TOPICS = { created: 'created', updated: 'updated', deleted: 'deleted' };
const EVENTS = 3_000;
const CONNECTIONS = 300;
const LANES = 64;

function changeEvent(index: number): JsonObject {
  const connection = `connection-${index % CONNECTIONS}`;
  return {
    id: `event-${index}`,
    eventType: index < CONNECTIONS ? 'entityCreated' : 'entityUpdated',
    entityType: 'databaseService',
    entityId: connection,
    timestamp: 1_790_000_000_000 + index,
    entity: {
      id: connection,
      name: connection,
      serviceType: 'Mysql',
      description: 'x'.repeat(1_000),
      connection: {
        config: {
          type: 'Mysql',
          username: 'u',
          authType: { password: `value-${index}` },
          hostPort: 'h:3306',
        },
      },
    },
  };
}

function recordOf(index: number): SourceRecord {
  const value = Buffer.from(JSON.stringify(changeEvent(index)));
  return { topic: 'created', partition: 0, offset: index, key: null, value, headers: {}, timestampMs: 0 };
}

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
  const record = recordOf(0);
  const bytes = record.value ?? Buffer.alloc(0);
  const entity = changeEvent(0)['entity'] as JsonObject;
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

/** Seconds for all events, each with a new password, through the pipeline into SQLite and the in-memory store. */
async function pipelineSeconds(folder: string): Promise<number> {
  const config = loadConfig(
    {
      FERNET_KEY: randomBytes(32).toString('base64'),
      DATABASE_URL: `sqlite:${join(folder, 'pipeline.sqlite')}`,
      SECRET_MANAGER: 'in-memory',
      SECRET_MANAGER_WRITES_PER_SECOND: '1000000',
    },
    { need: ['keys'] },
  );
  const outlet = {
    requestTimeoutMs: 1_000,
    maxRecordBytes: () => 1_000_000,
    send: () => Promise.resolve(),
  };
  const observer = { handled: () => undefined, failed: () => undefined };
  const worker = await openWorker(config, { outlet, observer });
  const { signal } = new AbortController();
  const start = performance.now();
  for (let first = 0; first < EVENTS; first += LANES) {
    const records = Array.from({ length: Math.min(LANES, EVENTS - first) }, (_, index) =>
      recordOf(first + index),
    );
    await Promise.all(records.map((record) => worker.pipeline.handle(record, signal)));
  }
  const seconds = (performance.now() - start) / 1_000;
  await worker.close();
  return seconds;
}

/** Seconds for the least that must be durable: one row an event, as many events to a transaction. */
function rowSeconds(folder: string): number {
  const database = new Sqlite(join(folder, 'rows.sqlite'));
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE event (id TEXT PRIMARY KEY, body TEXT)');
  const insert = database.prepare('INSERT INTO event VALUES (?, ?)');
  const start = performance.now();
  for (let first = 0; first < EVENTS; first += LANES) {
    database.transaction(() => {
      for (let index = first; index < Math.min(first + LANES, EVENTS); index += 1)
        insert.run(String(index), JSON.stringify(changeEvent(index)));
    })();
  }
  const seconds = (performance.now() - start) / 1_000;
  database.close();
  return seconds;
}

async function throughput(): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const ours = await pipelineSeconds(folder);
    const base = rowSeconds(folder);
    return [
      {
        what: `an event through the pipeline (SQLite, a new value each, ${LANES} lanes)`,
        ours: (ours * 1_000) / EVENTS,
        baseline: 'one durable row an event',
        base: (base * 1_000) / EVENTS,
        unit: 'ms',
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const results = [...(await codec()), ...(await reading()), ...(await throughput())];
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, Node ${process.version}, ${process.platform}`;
const text = [
  '# Benchmark results',
  '',
  'Ratios against a baseline measured in the same run: below 1 ours takes less. Times are of this machine only.',
  '',
  `- command: \`npm run bench\``,
  `- machine: ${machine}`,
  '',
  table(results),
  '',
].join('\n');
console.log(text);
if (process.argv.includes('--write')) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
