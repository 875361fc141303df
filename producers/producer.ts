import { Partitioners } from 'kafkajs';
import type { Producer, TopicMessages } from 'kafkajs';
import type { Logger } from 'pino';
import { EventError, WorkerError } from '../src/errors.js';
import type { Outlet, OutgoingRecord, Stream } from '../src/transport.js';
import { createKafkaClient } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName, brokerUnavailable } from '../src/kafka/errors.js';
import {
  cutIntoRequests,
  DEFAULT_MAX_MESSAGE_BYTES,
  recordBytes,
  RECORD_OVERHEAD_BYTES,
} from './record-size.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import { readMaxMessageBytes } from '../src/kafka/topic-limits.js';

/** Which topic a stream goes to. */
export interface StreamBinding {
  readonly stream: Stream;
  readonly topic: string;
}

export interface KafkaOutletOptions {
  readonly settings: KafkaSettings;
  readonly bindings: readonly StreamBinding[];
  readonly logger: Logger;
  /** One produce request is at most this large (a broker's `socket.request.max.bytes` is 100 MiB by default). */
  readonly maxRequestBytes?: number;
}

export interface KafkaOutlet extends Outlet {
  /**
   * Reads how large records of each topic may be. Without it, or where the broker does not tell, Kafka's default
   * counts. Does not reject: a broker that is not there yet is asked again before the first send.
   */
  readLimits(): Promise<void>;
  /** Waits for what is being sent, for up to `deadlineMs`, then closes every connection. */
  close(deadlineMs: number): Promise<void>;
}

const MAX_REQUEST_BYTES = 32 * 1024 * 1024;
const TOO_LARGE: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

interface Line {
  readonly client: KafkaClient;
  readonly producer: Producer;
}

/**
 * Writes streams to topics, acknowledged by all in-sync replicas. One attempt per send: whether there is another is the
 * caller's decision, whose claim may have run out.
 */
export function createKafkaOutlet(options: KafkaOutletOptions): KafkaOutlet {
  return new KafkaProducerOutlet(options);
}

class KafkaProducerOutlet implements KafkaOutlet {
  readonly requestTimeoutMs: number;
  readonly #options: KafkaOutletOptions;
  readonly #topics: ReadonlyMap<Stream, string>;
  readonly #maxRequestBytes: number;
  readonly #maxMessageBytes = new Map<Stream, number>();
  readonly #sending = new Set<Promise<void>>();
  #line: Promise<Line> | null = null;
  #limitsKnown = false;
  #closed = false;

  constructor(options: KafkaOutletOptions) {
    this.#options = options;
    this.requestTimeoutMs = options.settings.requestTimeoutMs;
    this.#topics = new Map(options.bindings.map(({ stream, topic }) => [stream, topic]));
    this.#maxRequestBytes = options.maxRequestBytes ?? MAX_REQUEST_BYTES;
  }

  maxRecordBytes(stream: Stream): number {
    return Math.min(this.#batchBytes(stream), this.#maxRequestBytes) - RECORD_OVERHEAD_BYTES;
  }

  async readLimits(): Promise<void> {
    const { settings, logger } = this.#options;
    try {
      const limits = await readMaxMessageBytes(settings, logger, [...this.#topics.values()]);
      for (const [stream, topic] of this.#topics) {
        const limit = limits.get(topic);
        if (limit !== undefined) this.#maxMessageBytes.set(stream, limit);
      }
      this.#limitsKnown = true;
    } catch (error) {
      logger.warn(
        { error: brokerErrorName(error) },
        'record sizes of the topics are not known: using the default',
      );
    }
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    if (this.#closed) throw new WorkerError('BROKER_UNAVAILABLE', 'sending failed: the outlet is closed');
    if (records.length === 0) return;
    const sending = this.#sendAll(records);
    this.#sending.add(sending);
    try {
      await sending;
    } finally {
      this.#sending.delete(sending);
    }
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    const line = this.#line;
    this.#line = null;
    await withDeadline(Promise.allSettled(this.#sending), deadlineMs).catch(() => undefined);
    if (line === null) return;
    await withDeadline(line.then(closeLine), deadlineMs).catch(() => undefined);
    await line.then(({ client }) => client.close()).catch(() => undefined);
  }

  #batchBytes(stream: Stream): number {
    return this.#maxMessageBytes.get(stream) ?? DEFAULT_MAX_MESSAGE_BYTES;
  }

  async #sendAll(records: readonly OutgoingRecord[]): Promise<void> {
    this.#refuseTooLarge(records);
    const line = this.#open();
    const expired = new AbortController();
    // Past the deadline the caller's claim may be somebody else's: the sockets go, so that nothing is sent late.
    const expire = (): void => {
      expired.abort();
      this.#drop(line);
    };
    try {
      await withDeadline(this.#produce(line, records, expired.signal), this.requestTimeoutMs, expire);
    } catch (error) {
      throw this.#toWorkerError(error, records);
    }
  }

  #toWorkerError(error: unknown, records: readonly OutgoingRecord[]): WorkerError {
    if (error instanceof WorkerError) return error;
    const [first] = records;
    if (!TOO_LARGE.has(brokerErrorName(error)) || first === undefined)
      return brokerUnavailable('sending', error);
    // The topic's limit was lowered meanwhile: the next attempt is cut, or refused, by the new one.
    void this.readLimits();
    if (records.length > 1) return brokerUnavailable('sending', error);
    const message = `the broker finds a record of ${recordBytes(first)} bytes too large for ${this.#topicOf(first.stream)}`;
    return new EventError('OUTPUT_TOO_LARGE', message);
  }

  async #produce(
    opening: Promise<Line>,
    records: readonly OutgoingRecord[],
    expired: AbortSignal,
  ): Promise<void> {
    const { producer } = await opening;
    const requests = cutIntoRequests(records, {
      batchBytes: ({ stream }) => this.#batchBytes(stream),
      requestBytes: this.#maxRequestBytes,
    });
    for (const request of requests) {
      expired.throwIfAborted();
      await producer.sendBatch({
        acks: -1,
        timeout: this.requestTimeoutMs,
        topicMessages: this.#toTopicMessages(request),
      });
    }
  }

  #toTopicMessages(records: readonly OutgoingRecord[]): TopicMessages[] {
    const byTopic = new Map<string, TopicMessages>();
    for (const { stream, key, value, headers } of records) {
      const topic = this.#topicOf(stream);
      const entry = byTopic.get(topic) ?? { topic, messages: [] };
      entry.messages.push({ key, value, headers: { ...headers } });
      byTopic.set(topic, entry);
    }
    return [...byTopic.values()];
  }

  #topicOf(stream: Stream): string {
    const topic = this.#topics.get(stream);
    if (topic === undefined) throw new WorkerError('INTERNAL', `no topic is bound to the stream ${stream}`);
    return topic;
  }

  #refuseTooLarge(records: readonly OutgoingRecord[]): void {
    for (const record of records) {
      const limit = this.maxRecordBytes(record.stream);
      const bytes = recordBytes(record);
      if (bytes <= limit) continue;
      const message = `a record of ${bytes} bytes is larger than the ${limit} that ${this.#topicOf(record.stream)} takes`;
      throw new EventError('OUTPUT_TOO_LARGE', message);
    }
  }

  /** The one connection to the brokers, made when it is needed and again after it was dropped. */
  #open(): Promise<Line> {
    if (this.#line !== null) return this.#line;
    const opening = this.#connect();
    this.#line = opening;
    opening.catch(() => {
      if (this.#line === opening) this.#line = null;
    });
    return opening;
  }

  async #connect(): Promise<Line> {
    const { settings, logger } = this.#options;
    const client = createKafkaClient(settings, { logger });
    const producer = client.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // One attempt. A stale picture of the cluster is refreshed by kafkajs before it gives up, for the next send.
      retry: { retries: 0 },
    });
    try {
      await withDeadline(producer.connect(), this.requestTimeoutMs);
      if (!this.#limitsKnown) void this.readLimits();
      return { client, producer };
    } catch (error) {
      client.close();
      throw error;
    }
  }

  #drop(line: Promise<Line>): void {
    if (this.#line === line) this.#line = null;
    line.then(({ client }) => client.close()).catch(() => undefined);
  }
}

async function closeLine({ client, producer }: Line): Promise<void> {
  try {
    await producer.disconnect();
  } finally {
    client.close();
  }
}
