import type { Logger } from 'pino';
import { WorkerError } from '../src/errors.js';
import type { KafkaSettings } from '../src/kafka/settings.js';
import type { Outlet, OutgoingRecord, Stream } from '../src/transport.js';
import { KafkaProducer } from './producer.js';

/** Which topic a stream goes to. */
export interface StreamBinding {
  readonly stream: Stream;
  readonly topic: string;
}

export interface KafkaOutletOptions {
  readonly settings: KafkaSettings;
  readonly bindings: readonly StreamBinding[];
  readonly logger: Logger;
  readonly maxRequestBytes?: number;
}

/**
 * Writes streams to topics. One attempt per send: whether there is another is the caller's decision, whose claim may have
 * run out.
 */
export class KafkaOutlet implements Outlet {
  readonly requestTimeoutMs: number;
  readonly #topics: ReadonlyMap<Stream, string>;
  readonly #producer: KafkaProducer;
  #limitsKnown = false;

  constructor({ bindings, ...options }: KafkaOutletOptions) {
    this.requestTimeoutMs = options.settings.requestTimeoutMs;
    this.#topics = new Map(bindings.map(({ stream, topic }) => [stream, topic]));
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
    return this.#producer.maxRecordBytes(this.#topicOf(stream));
  }

  /** Does not reject: a broker that is not there yet is asked again before the first send. */
  async readLimits(): Promise<void> {
    this.#limitsKnown = await this.#producer.readLimits([...this.#topics.values()]);
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    await this.#producer.send(
      records.map(({ stream, ...record }) => ({ ...record, topic: this.#topicOf(stream) })),
    );
  }

  /** Waits for what is being sent, for up to `deadlineMs`, then closes every connection. */
  close(deadlineMs: number): Promise<void> {
    return this.#producer.close(deadlineMs);
  }

  #topicOf(stream: Stream): string {
    const topic = this.#topics.get(stream);
    if (topic === undefined) throw new WorkerError('INTERNAL', `no topic is bound to the stream ${stream}`);
    return topic;
  }
}
