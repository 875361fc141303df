import type { Logger } from 'pino';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { TopicNames } from '../src/kafka/topics.js';
import type { Outlet, OutgoingRecord, Stream } from '../src/transport.js';
import { KafkaProducer } from './producer.js';

export interface KafkaOutletOptions {
  readonly settings: KafkaSettings;
  readonly topics: Pick<TopicNames, 'secured' | 'deadLetter'>;
  readonly logger: Logger;
  readonly maxRequestBytes?: number;
}

/**
 * Writes each stream to its topic: `connection.secured` (every applied event, keyed by the connection's id) and
 * `connection.dead-letter`. Each send is one attempt: only the caller knows whether its claim allows another one.
 */
export class KafkaOutlet implements Outlet {
  readonly requestTimeoutMs: number;
  readonly #topics: Readonly<Record<Stream, string>>;
  readonly #producer: KafkaProducer;
  #limitsKnown = false;

  constructor({ topics, ...options }: KafkaOutletOptions) {
    this.requestTimeoutMs = options.settings.requestTimeoutMs;
    this.#topics = { secured: topics.secured, 'dead-letter': topics.deadLetter };
    this.#producer = new KafkaProducer({
      ...options,
      sendTimeoutMs: this.requestTimeoutMs,
      retries: 0,
      onConnect: () => {
        if (!this.#limitsKnown) void this.readLimits();
      },
    });
  }

  maxRecordBytes(stream: Stream): number {
    return this.#producer.maxRecordBytes(this.#topics[stream]);
  }

  /** Asks the broker for the record sizes. Does not reject: if it fails, the next connection asks again. */
  async readLimits(): Promise<void> {
    this.#limitsKnown = await this.#producer.readLimits(Object.values(this.#topics));
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    await this.#producer.send(
      records.map(({ stream, ...record }) => ({ ...record, topic: this.#topics[stream] })),
    );
  }

  /** Waits up to `deadlineMs` for the sends in flight, then closes every connection. */
  close(deadlineMs: number): Promise<void> {
    return this.#producer.close(deadlineMs);
  }
}
