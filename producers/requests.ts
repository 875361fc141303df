import { byteSize } from '../src/transport.js';

/** A record and where it goes. */
export interface TopicRecord {
  readonly topic: string;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** How many bytes one produce request may hold: per topic (a broker limits batches, not records) and in all. */
interface RequestLimits {
  batchBytes(topic: string): number;
  readonly requestBytes: number;
}

/**
 * Cuts records into requests that the broker accepts, and keeps their order. All records of one topic may fall into one
 * batch of one partition, so each topic's share of a request stays within its limit. A record over the limit gets a
 * request of its own.
 */
export function cutIntoRequests(
  records: readonly TopicRecord[],
  limits: RequestLimits,
): readonly (readonly TopicRecord[])[] {
  const requests: TopicRecord[][] = [];
  let current: TopicRecord[] = [];
  let total = 0;
  const perTopic = new Map<string, number>();
  for (const record of records) {
    const { topic } = record;
    const bytes = byteSize(record);
    const ofTopic = (perTopic.get(topic) ?? 0) + bytes;
    const full = ofTopic > limits.batchBytes(topic) || total + bytes > limits.requestBytes;
    if (full && current.length > 0) {
      requests.push(current);
      current = [];
      total = 0;
      perTopic.clear();
    }
    current.push(record);
    total += bytes;
    perTopic.set(topic, (perTopic.get(topic) ?? 0) + bytes);
  }
  if (current.length > 0) requests.push(current);
  return requests;
}
