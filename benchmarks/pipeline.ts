import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { openWorker } from '../src/worker/worker.js';
import { loadConfig } from '../src/config.js';
import { WorkerError } from '../src/errors.js';
import type { SourceRecord } from '../src/terms.js';
import { recordOf, unchangedRecords } from './events.js';
import { measured, type Load, type Run } from './measure.js';

const NOBODY = { handled: () => undefined, failed: () => undefined };
const OUTLET = {
  requestTimeoutMs: 1_000,
  maxRecordBytes: () => 1_000_000,
  send: () => Promise.resolve(),
};

export interface Target {
  readonly url: string;
  readonly manager: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface BenchedPipeline {
  /** How many records a transport hands over at once. */
  readonly recordsAtOnce: number;
  /** An event by its number; resolves when it is handled. */
  handle(index: number, connections: number): Promise<void>;
  handleRecord(record: SourceRecord): Promise<void>;
  close(): Promise<void>;
}

/** A pipeline over a real database and store, without Kafka: it discards what the pipeline sends. */
export async function openPipeline(
  { url, manager, env = {} }: Target,
  lanes: number,
): Promise<BenchedPipeline> {
  const config = loadConfig(
    {
      ...env,
      FERNET_KEY: randomBytes(32).toString('base64'),
      DATABASE_URL: url,
      SECRET_MANAGER: manager,
      SECRET_MANAGER_WRITES_PER_SECOND: '1000000',
      WORKER_CONCURRENCY: String(lanes),
    },
    { need: ['keys'] },
  );
  const worker = await openWorker(config, { kafkaCluster: null, outlet: OUTLET, observer: NOBODY });
  const { signal } = new AbortController();
  const handleRecord = (record: SourceRecord): Promise<void> =>
    untilHandled(() => worker.pipeline.handle(record, signal));
  return {
    recordsAtOnce: worker.recordsAtOnce,
    handle: (index, connections) => handleRecord(recordOf(index, connections)),
    handleRecord,
    close: () => worker.close(),
  };
}

/**
 * All events through the pipeline, from bytes to the secured record.
 *
 * @param again what is measured after they were handled once: nothing (they are measured themselves), the same records
 *   once more, or new events of the same content
 */
export async function pipelineRun(
  target: Target,
  { events, connections, lanes }: Load,
  again: 'nothing' | 'duplicates' | 'unchanged' = 'nothing',
): Promise<Run> {
  const pipeline = await openPipeline(target, lanes);
  const handle = (records: readonly SourceRecord[]): Promise<unknown> => {
    const queue = records.values();
    const lane = async (): Promise<void> => {
      for (const record of queue) await pipeline.handleRecord(record);
    };
    return Promise.all(Array.from({ length: pipeline.recordsAtOnce }, lane));
  };
  const records = Array.from({ length: events }, (_, index) => recordOf(index, connections));
  if (again !== 'nothing') await handle(records);
  const next = again === 'unchanged' ? unchangedRecords(events, connections) : records;
  const counted = countStatements();
  const run = await measured(events, () => handle(next));
  const statements = target.url.startsWith('postgres') ? counted.stop() / events : null;
  await pipeline.close();
  return { ...run, statements };
}

/** Tries transient failures again, as a transport does. */
async function untilHandled(handle: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await handle();
      return;
    } catch (error) {
      if (!(error instanceof WorkerError && error.retryable)) throw error;
    }
  }
}

/** Counts what goes to PostgreSQL from now on. */
function countStatements(): { stop(): number } {
  const { prototype } = pg.Client;
  const query = prototype.query;
  let count = 0;
  prototype.query = function counting(this: pg.Client, ...args: unknown[]): unknown {
    count += 1;
    return Reflect.apply(query, this, args);
  } as typeof query;
  return {
    stop: () => {
      prototype.query = query;
      return count;
    },
  };
}
