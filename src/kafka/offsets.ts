import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { askBroker } from './admin.js';
import type { TopicPartition } from '../../consumers/membership.js';
import type { KafkaSettings } from './settings.js';

/** What a partition has: records from `low` on, the next one gets `high`. */
export interface OffsetRange extends TopicPartition {
  readonly low: number;
  readonly high: number;
  /** The first record of the time asked for, or later; `high` where there is none. Null where none was asked for. */
  readonly fromTime: number | null;
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
    const ranges: OffsetRange[] = [];
    for (const topic of topics) ranges.push(...(await rangesOf(admin, topic, sinceMs)));
    return ranges;
  });
}

async function rangesOf(admin: Admin, topic: string, sinceMs: number | null): Promise<OffsetRange[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  const byTime = sinceMs === null ? [] : await admin.fetchTopicOffsetsByTimestamp(topic, sinceMs);
  const fromTime = new Map(byTime.map(({ partition, offset }) => [partition, Number(offset)]));
  return offsets
    .map(({ partition, low, high }) => ({
      topic,
      partition,
      low: Number(low),
      high: Number(high),
      fromTime: sinceMs === null ? null : (fromTime.get(partition) ?? Number(high)),
    }))
    .sort((a, b) => a.partition - b.partition);
}
