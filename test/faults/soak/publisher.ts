import { Partitioners, type Producer } from 'kafkajs';
import { setTimeout as delay } from 'node:timers/promises';
import { quietKafka } from '../../harness/index.js';
import type { Flow } from './flow.js';
import type { HistoryRecord, TopicKind } from './history.js';

const EVERY_MS = 250;

/** Publishes records in their order, evenly over a time, whatever the broker does meanwhile. */
export async function publishEvenly(
  records: readonly HistoryRecord[],
  options: {
    readonly brokers: string;
    readonly topics: Readonly<Record<TopicKind, string>>;
    readonly durationMs: number;
    readonly flow: Flow;
    readonly onProgress?: (sent: number) => void;
  },
): Promise<void> {
  const producer = quietKafka(options.brokers).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    maxInFlightRequests: 1,
  });
  const begin = performance.now();
  let sent = 0;
  try {
    while (sent < records.length) {
      const due = Math.ceil((records.length * (performance.now() - begin + EVERY_MS)) / options.durationMs);
      const chunk = records.slice(sent, Math.min(due, sent + 5_000));
      await options.flow.through(() => sendUntilDone(producer, chunk, options.topics));
      sent += chunk.length;
      options.onProgress?.(sent);
      await delay(EVERY_MS);
    }
  } finally {
    await producer.disconnect();
  }
}

/** Some may get there twice: that is what a publisher does whose acknowledgement was lost. */
async function sendUntilDone(
  producer: Producer,
  records: readonly HistoryRecord[],
  topics: Readonly<Record<TopicKind, string>>,
): Promise<void> {
  const kinds = [...new Set(records.map(({ topic }) => topic))];
  const topicMessages = kinds.map((kind) => ({
    topic: topics[kind],
    messages: records.filter(({ topic }) => topic === kind).map(({ key, value }) => ({ key, value })),
  }));
  for (;;) {
    try {
      await producer.connect();
      await producer.sendBatch({ acks: -1, topicMessages });
      return;
    } catch {
      await delay(500);
    }
  }
}
