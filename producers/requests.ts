import { byteSize } from '../src/transport.js';

/** A record and where it goes. */
export interface TopicRecord {
  readonly topic: string;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** How much one produce request may hold: per topic (a broker measures batches, not records) and altogether. */
export interface RequestLimits {
  batchBytes(topic: string): number;
  readonly requestBytes: number;
}

/**
 * Cuts records into requests that the broker takes, in order. All records of one topic could fall into one batch of one
 * partition, so each topic's share of a request stays below its limit. A record that is too large by itself gets a
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
