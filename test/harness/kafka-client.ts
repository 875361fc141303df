// By the default import: Node does not see KafkaJSProtocolError as a named export of this CommonJS module.
import kafkajs, { Partitioners, type IHeaders, type ITopicConfig } from 'kafkajs';
import { usePart } from './describe-with.js';
import { quietKafka } from './quiet-kafka.js';
import { freshName } from './tmp-dir.js';
import { waitFor } from './wait-for.js';

/** Every helper here takes the brokers (`host:port`, with commas between them). Default: the Kafka of this run. */
export interface OnBrokers {
  readonly brokers?: string;
}

export interface NewTopic {
  readonly topic: string;
  /** Default 1. */
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

export interface RecordToSend {
  readonly key?: string | null;
  readonly value: string | Buffer | null;
  readonly partition?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch; default: now. */
  readonly timestampMs?: number;
}

export interface ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestampMs: number;
}

/** Creates topics with one replica and waits until each has a leader. */
export async function createTopics(
  topics: readonly (string | NewTopic)[],
  { brokers = usePart('kafka') }: OnBrokers = {},
): Promise<void> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    const configs = topics.map(topicConfig);
    await admin.createTopics({ topics: configs, waitForLeaders: false, timeout: 15_000 });
    for (const { topic } of configs) {
      // Only the leader of a partition knows its offsets. Once it tells them, it also takes records.
      await waitFor(async () => (await admin.fetchTopicOffsets(topic)).length > 0, {
        what: `the topic ${topic}`,
      });
    }
  } finally {
    await admin.disconnect();
  }
}

function topicConfig(topic: string | NewTopic): ITopicConfig {
  const { topic: name, partitions = 1, config = {} } = typeof topic === 'string' ? { topic } : topic;
  // Records have the times of their events. With the default, Kafka would soon delete those older than a week.
  const entries = Object.entries({ 'retention.ms': '-1', ...config });
  return {
    topic: name,
    numPartitions: partitions,
    replicationFactor: 1,
    configEntries: entries.map(([key, value]) => ({ name: key, value })),
  };
}

/** Sends records in order, with acks of all replicas. Returns the offset of the first record in each partition. */
export async function produce(
  topic: string,
  records: readonly RecordToSend[],
  { brokers = usePart('kafka') }: OnBrokers = {},
): Promise<ReadonlyMap<number, number>> {
  const producer = quietKafka(brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    const sent = await producer.send({
      topic,
      acks: -1,
      messages: records.map(({ key = null, value, partition, headers = {}, timestampMs }) => ({
        key,
        value,
        headers: { ...headers },
        ...(partition === undefined ? {} : { partition }),
        ...(timestampMs === undefined ? {} : { timestamp: String(timestampMs) }),
      })),
    });
    return new Map(sent.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]));
  } finally {
    await producer.disconnect();
  }
}

/** The present end offset of each partition, which the next record gets. */
export async function endOffsets(
  topic: string,
  { brokers = usePart('kafka') }: OnBrokers = {},
): Promise<ReadonlyMap<number, number>> {
  const ranges = await offsetRanges(topic, brokers);
  return new Map([...ranges].map(([partition, { high }]) => [partition, high]));
}

/** The committed offset of a group for each partition; -1 if it has committed none. */
export async function committedOffsets(
  groupId: string,
  topic: string,
  { brokers = usePart('kafka') }: OnBrokers = {},
): Promise<ReadonlyMap<number, number>> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    const [of] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return new Map((of?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]));
  } finally {
    await admin.disconnect();
  }
}

/**
 * All records of a topic from its beginning to its end offsets at the time of the call, by partition and offset. It reads
 * them with a new consumer group and deletes that afterwards.
 */
export async function readAll(
  topic: string,
  options: OnBrokers & { readonly timeoutMs?: number } = {},
): Promise<ReceivedRecord[]> {
  const records: ReceivedRecord[] = [];
  await eachRecord(topic, (record) => records.push(record), options);
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** After this long without a batch, ask the broker whether there is anything left to read. */
const NOTHING_COMES_MS = 3_000;

/** The same for topics too long for the memory: visits one record after another, in order within each partition. */
export async function eachRecord(
  topic: string,
  visit: (record: ReceivedRecord) => void,
  { brokers = usePart('kafka'), timeoutMs = 30_000 }: OnBrokers & { readonly timeoutMs?: number } = {},
): Promise<void> {
  const ranges = await offsetRanges(topic, brokers);
  const left = new Map(
    [...ranges].filter(([, { low, high }]) => high > low).map(([p, { high }]) => [p, high]),
  );
  if (left.size === 0) return;
  const groupId = freshName('read-all');
  const kafka = quietKafka(brokers);
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 250 });
  const nextOffsets = new Map<number, number>();
  let movedAtMs = performance.now();
  const finished = (partition: number, lastOffset: string): void => {
    movedAtMs = performance.now();
    if (Number(lastOffset) + 1 >= (left.get(partition) ?? Infinity)) left.delete(partition);
  };
  // This event also comes for batches of transaction markers only, which no handler gets.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) =>
    finished(payload.partition, payload.lastOffset),
  );
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const end = left.get(batch.partition);
        for (const message of batch.messages) {
          const offset = Number(message.offset);
          // After a rebalance the partition is read from the beginning again.
          if (offset >= (end ?? 0) || offset < (nextOffsets.get(batch.partition) ?? 0)) continue;
          nextOffsets.set(batch.partition, offset + 1);
          visit(received(topic, batch.partition, message));
        }
        return Promise.resolve();
      },
    });
    const isRead = async (): Promise<boolean> => {
      if (performance.now() - movedAtMs > NOTHING_COMES_MS) {
        movedAtMs = performance.now();
        // Records that Kafka has deleted meanwhile do not come any more.
        for (const [partition, { low }] of await offsetRanges(topic, brokers))
          if (low >= (left.get(partition) ?? Infinity)) left.delete(partition);
      }
      return left.size === 0;
    };
    await waitFor(isRead, {
      what: `the records of ${topic} up to ${JSON.stringify([...left])} (partition, end offset)`,
      timeoutMs,
    });
  } finally {
    await consumer.disconnect();
    await deleteGroup(brokers, groupId);
  }
}

/** Calls {@link readAll} again and again until `enough` says true. */
export async function readUntil(
  topic: string,
  enough: (records: readonly ReceivedRecord[]) => boolean,
  { timeoutMs = 30_000, ...on }: OnBrokers & { readonly timeoutMs?: number } = {},
): Promise<ReceivedRecord[]> {
  let records: ReceivedRecord[] = [];
  await waitFor(
    async () => {
      records = await readAll(topic, { ...on, timeoutMs });
      return enough(records);
    },
    { what: `enough records of ${topic} (${records.length} seen)`, timeoutMs, intervalMs: 200 },
  );
  return records;
}

/** A record's value as JSON. */
export function jsonOf(record: ReceivedRecord): unknown {
  if (record.value === null) return null;
  const parsed: unknown = JSON.parse(record.value.toString('utf8'));
  return parsed;
}

/** Null if the partitions have no leader yet, because the broker has just started. */
async function readUnlessElecting<T>(
  reading: Promise<T>,
): Promise<{ readonly value: T } | { readonly error: Error } | null> {
  try {
    return { value: await reading };
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && ELECTING.has(error.type)) return null;
    return { error: error as Error };
  }
}

const ELECTING = new Set(['NOT_LEADER_FOR_PARTITION', 'LEADER_NOT_AVAILABLE']);

/** For each partition: the first offset that Kafka still has, and the next one to be written. */
export async function offsetRanges(
  topic: string,
  brokers: string,
): Promise<Map<number, { low: number; high: number }>> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    const read = await waitFor(() => readUnlessElecting(admin.fetchTopicOffsets(topic)), {
      what: `a leader for ${topic}`,
    });
    if ('error' in read) throw read.error;
    return new Map(
      read.value.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]),
    );
  } finally {
    await admin.disconnect();
  }
}

async function deleteGroup(brokers: string, groupId: string): Promise<void> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    await admin.deleteGroups([groupId]);
  } catch {
    // An empty group expires by itself.
  } finally {
    await admin.disconnect();
  }
}

function received(
  topic: string,
  partition: number,
  message: {
    offset: string;
    key: Buffer | null;
    value: Buffer | null;
    headers?: IHeaders;
    timestamp: string;
  },
): ReceivedRecord {
  return {
    topic,
    partition,
    offset: Number(message.offset),
    key: message.key?.toString('utf8') ?? null,
    value: message.value,
    headers: Object.fromEntries(
      Object.entries(message.headers ?? {}).map(([name, value]) => [name, headerText(value)]),
    ),
    timestampMs: Number(message.timestamp),
  };
}

function headerText(value: IHeaders[string]): string {
  if (Array.isArray(value)) return value.map(String).join(',');
  return value === undefined ? '' : value.toString();
}
