import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import {
  AWS_CREDENTIALS,
  AWS_REGION,
  createTopics,
  queryDatabase,
  type PartHandle,
} from '../../harness/index.js';
import { LAUNCHERS } from '../../harness/parts.js';
import type { CheckInput } from '../checker/index.js';
import type { SoakOptions } from './options.js';
import { Bombs } from './bombs.js';
import { Flow } from './flow.js';
import { Losses } from './losses.js';
import { StandinControl } from './standin-process.js';
import { TcpProxy } from './tcp-proxy.js';
import { WorkerSlot } from './worker-slot.js';

const PARTITIONS = 6;
export const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
  secured: 'connection.secured',
  deadLetter: 'connection.dead-letter',
} as const;
const GROUP_ID = 'soak';

/** Servers and workers of one run. */
export interface SoakWorld {
  readonly broker: PartHandle;
  readonly database: PartHandle;
  /** Before the database: workers connect through it. */
  readonly proxy: TcpProxy;
  readonly store: StandinControl;
  readonly bombs: Bombs;
  readonly losses: Losses;
  /** What the publisher goes through. */
  readonly flow: Flow;
  readonly workers: readonly WorkerSlot[];
  /** All that the checker is told but for what was published. */
  readonly check: Omit<CheckInput, 'published'>;
  close(): Promise<void>;
}

/** Starts them, each on a port of its own; workers are not started yet. */
export async function openWorld(options: SoakOptions, dir: string): Promise<SoakWorld> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const [broker, database, store] = await Promise.all([
      LAUNCHERS.kafka(),
      LAUNCHERS[options.database](),
      StandinControl.start(),
    ]);
    closers.push(
      () => broker.dispose(),
      () => database.dispose(),
      () => store.stop(),
    );
    const direct = await createDatabase(database.address);
    const url = direct.href;
    const proxy = await TcpProxy.open(direct.hostname, Number(direct.port));
    closers.push(() => proxy.close());
    await createTopics(
      Object.values(TOPICS).map((topic) => ({ topic, partitions: PARTITIONS })),
      { brokers: broker.address },
    );
    const bombs = new Bombs(broker.address, TOPICS.created);
    closers.push(() => bombs.close());
    const flow = new Flow();
    const losses = new Losses({
      ...{
        brokers: broker.address,
        databaseUrl: url,
        groupId: GROUP_ID,
        topic: TOPICS.updated,
        partitions: PARTITIONS,
        flow,
      },
    });
    const key = randomBytes(32).toString('base64');
    const throughProxy = new URL(url);
    throughProxy.port = String(proxy.port);
    const env = environment(options, { brokers: broker.address, databaseUrl: throughProxy.href, store, key });
    const workers = Array.from({ length: options.workers }, (_, index) => {
      const name = `worker-${index + 1}`;
      // One of them tells more: what is in its log is looked through for values.
      const level = index === 1 ? { LOG_LEVEL: 'debug' } : {};
      return new WorkerSlot(name, join(dir, `${name}.log`), { ...env, ...level });
    });
    closers.push(() => Promise.all(workers.map((worker) => worker.kill())));
    const kafka = { kind: 'kafka', brokers: broker.address } as const;
    const topics = [TOPICS.created, TOPICS.updated, TOPICS.deleted];
    const check = {
      databaseUrl: url,
      stores: { [options.manager]: { kind: 'standin', url: store.url } as const },
      secured: { ...kafka, topic: TOPICS.secured },
      deadLetters: { ...kafka, topic: TOPICS.deadLetter },
      sources: { brokers: broker.address, groupId: GROUP_ID, topics },
      keys: [key],
      files: workers.map(({ logFile }) => logFile),
    };
    return { broker, database, proxy, store, bombs, losses, flow, workers, check, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Goes with its server. */
async function createDatabase(server: string): Promise<URL> {
  await queryDatabase({ url: server }, 'CREATE DATABASE soak');
  const url = new URL(server);
  url.pathname = '/soak';
  return url;
}

function environment(
  options: SoakOptions,
  {
    brokers,
    databaseUrl,
    store,
    key,
  }: {
    readonly brokers: string;
    readonly databaseUrl: string;
    readonly store: StandinControl;
    readonly key: string;
  },
): Record<string, string> {
  return {
    KAFKA_BROKERS: brokers,
    KAFKA_GROUP_ID: GROUP_ID,
    KAFKA_SESSION_TIMEOUT_MS: '10000',
    DATABASE_URL: databaseUrl,
    SECRET_MANAGER: options.manager,
    AWS_ENDPOINT_URL: store.url,
    OM_SM_REGION: AWS_REGION,
    OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
    OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
    SECRET_MANAGER_WRITES_PER_SECOND: '1000',
    // Short: what is retired is deleted while the run goes on, and its name is used again.
    SECRET_DELETION_GRACE_SECONDS: '5',
    // Long: whoever waits for an original that is behind a fault gets it.
    WAIT_SECONDS: '7200',
    CLAIM_MS: String(options.claimMs),
    STORE_TIMEOUT_MS: String(options.storeTimeoutMs),
    FERNET_KEY: key,
    HTTP_PORT: '0',
  };
}
