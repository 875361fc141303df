import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { askBroker } from './admin.js';
import { brokerUnavailable } from './errors.js';
import type { KafkaSettings } from './settings.js';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export type PartitionKey = `${string}|${number}`;
export const partitionKey = (topic: string, partition: number): PartitionKey => `${topic}|${partition}`;

/** What a partition has: records from `low` on, the next one gets `high`. */
export interface OffsetRange extends TopicPartition {
  readonly low: number;
  readonly high: number;
  /** The first record of the time asked for, or later; `high` where there is none. Null where none was asked for. */
  readonly fromTime: number | null;
}

/** What a partition still has, and how far the settings' group has come in it. */
export interface PartitionFacts extends TopicPartition {
  /** The oldest record there is. */
  readonly low: number;
  /** What the next record gets. */
  readonly high: number;
  /** Null: the group has committed nothing. */
  readonly committed: number | null;
  /** Of each time asked for: the first offset of a record that is not older; `high` or more where there is none. */
  readonly fromTimes: ReadonlyMap<number, number>;
}

/** Records of a partition below an offset. */
export interface RecordsBelow extends TopicPartition {
  readonly offset: number;
}

/**
 * The offsets of all partitions of these topics, which must exist.
 * @param sinceMs asks for the first offset of a record that is not older; milliseconds since the epoch
 * @throws WorkerError BROKER_UNAVAILABLE naming Kafka's error
 */
export async function readOffsetRanges(
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
  sinceMs: number | null = null,
): Promise<readonly OffsetRange[]> {
  return askBroker(settings, logger, 'reading offsets', async (admin) => {
    const ranges = await rangesOf(admin, topics, sinceMs === null ? [] : [sinceMs]);
    return ranges.map(({ fromTimes, ...range }) => ({
      ...range,
      fromTime: sinceMs === null ? null : (fromTimes.get(sinceMs) ?? range.high),
    }));
  });
}

/**
 * Of all partitions of these topics, which must exist.
 * @param times milliseconds since the epoch
 * @throws WorkerError BROKER_UNAVAILABLE naming Kafka's error
 */
export async function readPartitionFacts(
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
  times: readonly number[] = [],
): Promise<PartitionFacts[]> {
  return askBroker(settings, logger, 'reading offsets', async (admin) => {
    const committed = await committedBy(admin, settings.groupId, topics);
    return (await rangesOf(admin, topics, times)).map((range) => ({
      ...range,
      committed: committed.get(partitionKey(range.topic, range.partition)) ?? null,
    }));
  });
}

async function rangesOf(
  admin: Admin,
  topics: readonly string[],
  times: readonly number[],
): Promise<Omit<PartitionFacts, 'committed'>[]> {
  const ranges: Omit<PartitionFacts, 'committed'>[] = [];
  for (const topic of topics) {
    // The ends first: what is appended meanwhile lies behind them.
    const offsets = await admin.fetchTopicOffsets(topic);
    const byTime = await Promise.all(
      times.map(async (atMs) => {
        const found = await admin.fetchTopicOffsetsByTimestamp(topic, atMs);
        return [atMs, new Map(found.map(({ partition, offset }) => [partition, Number(offset)]))] as const;
      }),
    );
    for (const { partition, low, high } of offsets.sort((a, b) => a.partition - b.partition))
      ranges.push({
        topic,
        partition,
        low: Number(low),
        high: Number(high),
        fromTimes: new Map(byTime.map(([atMs, found]) => [atMs, found.get(partition) ?? Number(high)])),
      });
  }
  return ranges;
}

/**
 * Deletes records for good. What is gone already stays gone; nothing at or above the offsets is touched.
 * @throws WorkerError BROKER_UNAVAILABLE naming the topic and Kafka's error
 */
export async function deleteRecords(
  settings: KafkaSettings,
  below: readonly RecordsBelow[],
  logger: Logger,
): Promise<void> {
  await askBroker(settings, logger, 'deleting records', async (admin) => {
    for (const topic of topicsOf(below)) {
      const partitions = below
        .filter((one) => one.topic === topic)
        .map(({ partition, offset }) => ({ partition, offset: String(offset) }));
      // kafkajs looks for the leaders in what it knows of the cluster: this makes it ask.
      await admin.fetchTopicOffsets(topic);
      try {
        await admin.deleteTopicRecords({ topic, partitions });
      } catch (error) {
        throw brokerUnavailable(`deleting records of ${topic}`, error);
      }
    }
  });
}

/** Names of other groups that have offsets below these: they lose what they have not read. Those it may not ask are left out. */
export async function groupsBehind(
  settings: KafkaSettings,
  below: readonly RecordsBelow[],
  logger: Logger,
): Promise<string[]> {
  return askBroker(settings, logger, 'reading groups', async (admin) => {
    const { groups } = await admin.listGroups();
    const others = groups.map(({ groupId }) => groupId).filter((groupId) => groupId !== settings.groupId);
    const behind: string[] = [];
    for (const groupId of others.slice(0, GROUPS_ASKED)) {
      const committed = await committedBy(admin, groupId, topicsOf(below)).catch(
        () => new Map<string, number>(),
      );
      const isBehind = below.some(({ topic, partition, offset }) => {
        const read = committed.get(partitionKey(topic, partition));
        return read !== undefined && read < offset;
      });
      if (isBehind) behind.push(groupId);
    }
    return behind;
  });
}

/** A cluster may have thousands; one request each. */
const GROUPS_ASKED = 100;

async function committedBy(
  admin: Admin,
  groupId: string,
  topics: readonly string[],
): Promise<Map<string, number>> {
  const offsets = await admin.fetchOffsets({ groupId, topics: [...topics] });
  return new Map(
    offsets.flatMap(({ topic, partitions }) =>
      partitions
        .filter(({ offset }) => Number(offset) >= 0)
        .map(({ partition, offset }) => [partitionKey(topic, partition), Number(offset)] as const),
    ),
  );
}

function topicsOf(partitions: readonly TopicPartition[]): string[] {
  return [...new Set(partitions.map(({ topic }) => topic))];
}
