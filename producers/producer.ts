import { Partitioners } from 'kafkajs';
import type { Producer, TopicMessages } from 'kafkajs';
import type { Logger } from 'pino';
import { EventError, WorkerError } from '../src/errors.js';
import { byteSize } from '../src/transport.js';
import { createKafkaClient, requireSafeEnvironment } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName, brokerUnavailable } from '../src/kafka/errors.js';
import type { ConnectionSettings } from '../src/kafka/settings.js';
import { readMaxMessageBytes } from '../src/kafka/topics.js';
import { cutIntoRequests } from './requests.js';
import type { TopicRecord } from './requests.js';

export interface KafkaProducerOptions {
  readonly settings: ConnectionSettings;
  readonly logger: Logger;
  /** The longest one send may take, connecting and all attempts included. */
  readonly sendTimeoutMs: number;
  /** kafkajs's retries within one send. If not 0, requests to one broker wait for each other, to keep the order. */
  readonly retries: number;
  /** Called after each connection to the brokers. */
  readonly onConnect?: () => void;
  /** The largest produce request, in bytes; 32 MiB by default (a broker's `socket.request.max.bytes`: 100 MiB). */
  readonly maxRequestBytes?: number;
}

/** Kafka's default for a topic's `max.message.bytes`. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;
const TOO_LARGE: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

/** One connection to the brokers. */
interface Line {
  readonly client: KafkaClient;
  readonly producer: Producer;
}

/** Writes records to topics, acknowledged by all in-sync replicas. Connects when needed, and again after a failure. */
export class KafkaProducer {
  readonly #options: KafkaProducerOptions;
  readonly #maxRequestBytes: number;
  /** `max.message.bytes` by topic, as far as it is known. */
  readonly #maxMessageBytes = new Map<string, number>();
  readonly #sending = new Set<Promise<void>>();
  #line: Promise<Line> | null = null;
  #closed = false;

  /** @throws ConfigurationError UNSAFE_DEBUG_FLAG */
  constructor(options: KafkaProducerOptions) {
    requireSafeEnvironment();
    this.#options = options;
    this.#maxRequestBytes = options.maxRequestBytes ?? MAX_REQUEST_BYTES;
  }

  /** The largest record, as {@link byteSize} counts. Kafka's default if the topic's limit is not known. */
  maxRecordBytes(topic: string): number {
    return Math.min(this.#batchBytes(topic), this.#maxRequestBytes);
  }

  /**
   * Asks the broker how large records of these topics may be. Does not reject: without an answer the known limits stay.
   * @returns whether the broker has answered
   */
  async readLimits(topics: readonly string[]): Promise<boolean> {
    const { settings, logger } = this.#options;
    try {
      const limits = await readMaxMessageBytes(settings, logger, topics);
      for (const [topic, limit] of limits) this.#maxMessageBytes.set(topic, limit);
      return true;
    } catch (error) {
      const fields = { error: brokerErrorName(error) };
      logger.warn(fields, 'the largest record sizes of the topics are not known: the default is used');
      return false;
    }
  }

  /** An error that names the first record over its topic's known limit; null if there is none. */
  refusal(records: readonly TopicRecord[]): EventError | null {
    for (const record of records) {
      const limit = Math.min(this.#maxMessageBytes.get(record.topic) ?? Infinity, this.#maxRequestBytes);
      const bytes = byteSize(record);
      if (bytes <= limit) continue;
      const message = `a record of ${bytes} bytes is larger than the ${limit} that ${record.topic} takes`;
      return new EventError('OUTPUT_TOO_LARGE', message);
    }
    return null;
  }

  /**
   * Resolves when all records are written, in this order per key.
   * @throws EventError OUTPUT_TOO_LARGE: see {@link refusal}; nothing was sent
   * @throws WorkerError BROKER_UNAVAILABLE, BROKER_ACCESS: some records may have been written
   */
  async send(records: readonly TopicRecord[]): Promise<void> {
    if (this.#closed) throw new WorkerError('BROKER_UNAVAILABLE', 'sending failed: the producer is closed');
    if (records.length === 0) return;
    const refusal = this.refusal(records);
    if (refusal !== null) throw refusal;
    const sending = this.#sendAll(records);
    this.#sending.add(sending);
    try {
      await sending;
    } finally {
      this.#sending.delete(sending);
    }
  }

  /** Waits up to `deadlineMs` for the sends in flight, then closes every connection. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    const line = this.#line;
    this.#line = null;
    await withDeadline(Promise.allSettled(this.#sending), deadlineMs).catch(() => undefined);
    if (line === null) return;
    const disconnected = line.then(async ({ producer }) => producer.disconnect());
    await withDeadline(disconnected, deadlineMs).catch(() => undefined);
    await line.then(({ client }) => client.close()).catch(() => undefined);
  }

  #batchBytes(topic: string): number {
    return this.#maxMessageBytes.get(topic) ?? DEFAULT_MAX_MESSAGE_BYTES;
  }

  async #sendAll(records: readonly TopicRecord[]): Promise<void> {
    const line = this.#open();
    const expired = new AbortController();
    // At the deadline we close the sockets: a late request must not land behind newer records.
    const expire = (): void => {
      expired.abort();
      this.#drop(line);
    };
    try {
      await withDeadline(this.#produce(line, records, expired.signal), this.#options.sendTimeoutMs, expire);
    } catch (error) {
      throw this.#toWorkerError(error, records);
    }
  }

  #toWorkerError(error: unknown, records: readonly TopicRecord[]): WorkerError {
    if (error instanceof WorkerError) return error;
    const [first, ...others] = records;
    if (first === undefined || others.length > 0 || !TOO_LARGE.has(brokerErrorName(error)))
      return brokerUnavailable('sending', error);
    const message = `the broker finds a record of ${byteSize(first)} bytes too large for ${first.topic}`;
    return new EventError('OUTPUT_TOO_LARGE', message);
  }

  async #produce(
    opening: Promise<Line>,
    records: readonly TopicRecord[],
    expired: AbortSignal,
  ): Promise<void> {
    const { producer } = await opening;
    const requests = cutIntoRequests(records, {
      batchBytes: (topic) => this.#batchBytes(topic),
      requestBytes: this.#maxRequestBytes,
    });
    for (const request of requests) {
      expired.throwIfAborted();
      try {
        await producer.sendBatch({
          acks: -1,
          timeout: this.#options.settings.requestTimeoutMs,
          topicMessages: toTopicMessages(request),
        });
      } catch (error) {
        if (TOO_LARGE.has(brokerErrorName(error))) this.#learnLimits(request);
        throw error;
      }
    }
  }

  /** The topic's limit is lower than the known one: the next attempt uses the new one. */
  #learnLimits(refused: readonly TopicRecord[]): void {
    const [first, ...others] = refused;
    if (first === undefined) return;
    if (others.length === 0) this.#maxMessageBytes.set(first.topic, byteSize(first) - 1);
    void this.readLimits([...new Set(refused.map(({ topic }) => topic))]);
  }

  /** The one connection to the brokers: made when needed, and again after it was dropped. */
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
    const { settings, logger, retries, onConnect } = this.#options;
    const client = createKafkaClient(settings, { logger });
    const producer = client.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // Before kafkajs gives up, it refreshes its metadata of the cluster for the next send.
      retry: { retries, initialRetryTime: 200, maxRetryTime: 5_000 },
      ...(retries > 0 ? { maxInFlightRequests: 1 } : {}),
    });
    try {
      await withDeadline(producer.connect(), settings.requestTimeoutMs);
      onConnect?.();
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

function toTopicMessages(records: readonly TopicRecord[]): TopicMessages[] {
  const byTopic = new Map<string, TopicMessages>();
  for (const { topic, key, value, headers } of records) {
    const entry = byTopic.get(topic) ?? { topic, messages: [] };
    entry.messages.push({ key, value, headers: { ...headers } });
    byTopic.set(topic, entry);
  }
  return [...byTopic.values()];
}
