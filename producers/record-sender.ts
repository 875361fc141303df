import type { Logger } from 'pino';
import { EventError, WorkerError } from '../src/errors.js';
import { createKafkaClient } from '../src/kafka/client.js';
import type { KafkaClient } from '../src/kafka/client.js';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName, brokerUnavailable } from '../src/kafka/errors.js';
import type { KafkaSettings } from '../src/kafka/settings.js';

type Producer = ReturnType<KafkaClient['kafka']['producer']>;

/** A record and where it goes. */
export interface TopicRecord {
  readonly topic: string;
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

interface Line {
  readonly client: KafkaClient;
  readonly producer: Producer;
}

interface Waiting {
  readonly records: readonly TopicRecord[];
  readonly resolve: () => void;
  readonly reject: (error: WorkerError) => void;
}

export interface RecordSenderOptions {
  readonly settings: KafkaSettings;
  /** The longest one send may take, all attempts included. */
  readonly sendTimeoutMs: number;
  readonly logger: Logger;
}

/** Records of one call go out in one request: a broker's default limit of a batch is 1 MiB. */
const REQUEST_BYTES = 768 * 1024;
const TOO_LARGE: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

/**
 * Sends records in the order of the calls, one request at a time: of two changes of one entity the second is never in the
 * topic without, or before, the first one having been tried. Acknowledged by all in-sync replicas.
 */
export class RecordSender {
  readonly #options: RecordSenderOptions;
  #queue: Waiting[] = [];
  #sending: Promise<void> | null = null;
  #line: Promise<Line> | null = null;
  #closed = false;

  constructor(options: RecordSenderOptions) {
    this.#options = options;
  }

  send(records: readonly TopicRecord[]): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new WorkerError('BROKER_UNAVAILABLE', 'sending failed: the publisher is closed'));
    }
    if (records.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, resolve, reject });
      this.#sending ??= this.#drain();
    });
  }

  /** Waits for everything that was handed over. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#sending !== null) await this.#sending;
    const line = this.#line;
    this.#line = null;
    if (line !== null) await this.#hangUp(line);
  }

  /** Between the last look at the queue and the mark that nobody is sending, nothing is awaited. */
  async #drain(): Promise<void> {
    await Promise.resolve();
    for (let round = this.#takeRound(); round.length > 0; round = this.#takeRound()) {
      try {
        await this.#produce(round.flatMap(({ records }) => records));
        for (const { resolve } of round) resolve();
      } catch (error) {
        const ours = error instanceof WorkerError ? error : brokerUnavailable('sending', error);
        for (const { reject } of round) reject(ours);
      }
    }
    this.#sending = null;
  }

  /** As many calls as fit into one request; at least one. */
  #takeRound(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { records } of this.#queue) {
      bytes += records.reduce((sum, { value, key }) => sum + value.length + key.length + 512, 0);
      if (count > 0 && bytes > REQUEST_BYTES) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #produce(records: readonly TopicRecord[]): Promise<void> {
    const line = this.#open();
    const byTopic = new Map<string, { key: string; value: Buffer; headers: Record<string, string> }[]>();
    for (const { topic, key, value, headers } of records) {
      const messages = byTopic.get(topic) ?? [];
      messages.push({ key, value, headers: { ...headers } });
      byTopic.set(topic, messages);
    }
    const send = async (): Promise<void> => {
      const { producer } = await line;
      await producer.sendBatch({
        acks: -1,
        timeout: this.#options.settings.requestTimeoutMs,
        topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })),
      });
    };
    try {
      // Past it the sockets go, so that nothing lands behind what is sent next.
      await withDeadline(send(), this.#options.sendTimeoutMs, () => {
        this.#drop(line);
      });
    } catch (error) {
      const name = brokerErrorName(error);
      if (!TOO_LARGE.has(name)) throw brokerUnavailable('sending', error);
      throw new EventError(
        'OUTPUT_TOO_LARGE',
        'the broker finds the record, or this many at once, too large',
      );
    }
  }

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
      maxInFlightRequests: 1,
      retry: { retries: 5, initialRetryTime: 200, maxRetryTime: 5_000 },
    });
    try {
      await withDeadline(producer.connect(), settings.requestTimeoutMs);
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

  async #hangUp(line: Promise<Line>): Promise<void> {
    try {
      const { client, producer } = await line;
      await withDeadline(producer.disconnect(), this.#options.settings.requestTimeoutMs).catch(
        () => undefined,
      );
      client.close();
    } catch {
      // It was never there.
    }
  }
}
