import { WorkerError } from '../src/errors.js';
import { byteSize } from '../src/transport.js';
import { brokerUnavailable } from '../src/kafka/errors.js';
import { KafkaProducer } from './producer.js';
import type { KafkaProducerOptions } from './producer.js';
import type { TopicRecord } from './requests.js';

interface Waiting {
  readonly records: readonly TopicRecord[];
  readonly resolve: () => void;
  readonly reject: (error: WorkerError) => void;
}

/** Calls are sent together up to this size: a broker's default limit of a batch is 1 MiB. */
const TOGETHER_BYTES = 768 * 1024;
const RETRIES = 5;

/**
 * Sends `connection.created`, `connection.updated` and `connection.deleted` for the publisher library, in the order of
 * the calls and one request at a time. So of two changes of one entity, the second is never sent before the first was
 * tried.
 */
export class ChangeProducer {
  readonly #options: Omit<KafkaProducerOptions, 'retries'>;
  readonly #producer: KafkaProducer;
  #queue: Waiting[] = [];
  #sending: Promise<void> | null = null;
  #closed = false;

  constructor(options: Omit<KafkaProducerOptions, 'retries'>) {
    this.#options = options;
    this.#producer = new KafkaProducer({ ...options, retries: RETRIES });
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

  /** Waits for all records that `send` has taken, then closes every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#sending !== null) await this.#sending;
    await this.#producer.close(this.#options.settings.requestTimeoutMs);
  }

  /** Awaits nothing between its last look at the queue and `#sending = null`: else a record could stay in the queue. */
  async #drain(): Promise<void> {
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const round = this.#takeRound();
      try {
        await this.#producer.send(round.flatMap(({ records }) => records));
        for (const { resolve } of round) resolve();
      } catch (error) {
        const ours = error instanceof WorkerError ? error : brokerUnavailable('sending', error);
        for (const { reject } of round) reject(ours);
      }
    }
    this.#sending = null;
  }

  /** Takes the calls that are sent together, and rejects those with a record that is too large. */
  #takeRound(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { records } of this.#queue) {
      bytes += records.reduce((sum, record) => sum + byteSize(record), 0);
      if (count > 0 && bytes > TOGETHER_BYTES) break;
      count += 1;
    }
    return this.#queue.splice(0, count).filter(({ records, reject }) => {
      const refusal = this.#producer.refusal(records);
      if (refusal !== null) reject(refusal);
      return refusal === null;
    });
  }
}
