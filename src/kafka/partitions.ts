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

/** The offsets of a partition: its oldest record has `low`, its next one will get `high`. */
export interface OffsetRange extends TopicPartition {
  readonly low: number;
  readonly high: number;
  /** Offset of the first record of the given time or later; `high` if there is none. Null if no time was given. */
  readonly fromTime: number | null;
}

/** The offsets of a partition, and how far the consumer group of the settings has come in it. */
export interface PartitionFacts extends TopicPartition {
  /** Offset of the oldest record. */
  readonly low: number;
  /** Offset that the next record will get. */
  readonly high: number;
  /** Null if the group has committed no offset. */
  readonly committed: number | null;
  /** By given time: offset of the first record of that time or later; `high` or more if there is none. */
  readonly fromTimes: ReadonlyMap<number, number>;
}

/** Records of a partition below an offset. */
export interface RecordsBelow extends TopicPartition {
  readonly offset: number;
}

/**
 * The offsets of all partitions of these topics, which must exist.
 * @param sinceMs the time for `fromTime`; milliseconds since the epoch
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
 * The facts of all partitions of these topics, which must exist.
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
    // The ends first: records that are appended in the meantime lie behind them.
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
 * Deletes the records below these offsets for good. Succeeds if they are deleted already.
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
      // `deleteTopicRecords` uses the leaders that kafkajs knows: this call makes it fetch them.
      await admin.fetchTopicOffsets(topic);
      try {
        await admin.deleteTopicRecords({ topic, partitions });
      } catch (error) {
        throw brokerUnavailable(`deleting records of ${topic}`, error);
      }
    }
  });
}

/**
 * Names of other groups with a committed offset below these: they would miss records. Groups that we may not describe are
 * left out, and all after the first {@link GROUPS_ASKED}.
 */
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

/** A cluster may have thousands of groups; each needs one request. */
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
