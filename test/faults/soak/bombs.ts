import { CompressionTypes, Partitioners, type Producer } from 'kafkajs';
import { quietKafka } from '../../harness/index.js';
import type { PublishedEvent } from '../checker/index.js';
import type { Random } from './random.js';

const MIB = 1024 * 1024;
/** Small on the wire, large or deep once they are unpacked. */
const KINDS = {
  'a long text': () => `{"id":"${'x'.repeat(8 * MIB)}"}`,
  'a deep array': () => '['.repeat(MIB),
  'many numbers': () => `[${'1,'.repeat(MIB / 2)}1]`,
  zeros: () => '0'.repeat(20 * MIB),
} as const;

/** Records of a few kilobytes that cost megabytes; where each lies is remembered for the checker. */
export class Bombs {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #places: string[] = [];
  #isConnected = false;

  constructor(brokers: string, topic: string) {
    this.#topic = topic;
    this.#producer = quietKafka(brokers).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      // Once, or its place would not be known.
      idempotent: true,
      maxInFlightRequests: 1,
    });
  }

  async publish(random: Random): Promise<string> {
    if (!this.#isConnected) await this.#producer.connect();
    this.#isConnected = true;
    const kind = random.pick(Object.keys(KINDS) as (keyof typeof KINDS)[]);
    const messages = [{ value: KINDS[kind]() }];
    const compression = CompressionTypes.GZIP;
    const [sent] = await this.#producer.send({ topic: this.#topic, acks: -1, compression, messages });
    if (sent?.baseOffset === undefined) throw new Error('the broker did not say where the bomb lies');
    this.#places.push(`${this.#topic}/${sent.partition}/${sent.baseOffset}`);
    return kind;
  }

  /** What the checker is told: each belongs to nobody, and must become a dead letter. */
  get published(): PublishedEvent[] {
    return this.#places.map((eventId) => ({
      eventId,
      connectionId: null,
      eventType: 'entityCreated',
      timestampMs: 0,
      version: null,
      fields: {},
      expect: 'refused',
    }));
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}
