import type { Consumer } from 'kafkajs';
import { quietKafka } from '../../harness/quiet-kafka.js';
import type { World } from './world.js';

/** A member of the workers' group that reads and commits nothing: its coming and going makes the group share out anew. */
export class Guest {
  readonly #world: World;
  #consumer: Consumer | null = null;
  #joining: Promise<void> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  join(): Promise<void> {
    this.#joining = this.#join();
    return this.#joining;
  }

  /** No error where it is not there. */
  async leave(): Promise<void> {
    // A consumer that is told to go while it comes would stay.
    await this.#joining.catch(() => undefined);
    const consumer = this.#consumer;
    this.#consumer = null;
    await consumer?.disconnect();
  }

  async #join(): Promise<void> {
    const consumer = quietKafka(this.#world.brokers ?? '').consumer({
      groupId: this.#world.name,
      sessionTimeout: 10_000,
      rebalanceTimeout: 20_000,
      heartbeatInterval: 500,
    });
    this.#consumer = consumer;
    await consumer.connect();
    const topics = (['created', 'updated', 'deleted'] as const).map((name) => this.#world.topic(name));
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachMessage: () => Promise.resolve() });
  }
}
