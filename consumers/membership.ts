import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';

/** Which partitions the group has given to this process. */
export class Membership {
  #assigned: ReadonlySet<PartitionKey> = new Set();
  #partitions: readonly TopicPartition[] = [];
  #joined = false;

  get joined(): boolean {
    return this.#joined;
  }

  get partitions(): readonly TopicPartition[] {
    return this.#partitions;
  }

  owns(key: PartitionKey): boolean {
    return this.#assigned.has(key);
  }

  /** @param assignment partitions by topic, as kafkajs's GROUP_JOIN event has it */
  join(assignment: Readonly<Record<string, readonly number[]>>): void {
    this.#partitions = Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
    this.#assigned = new Set(this.#partitions.map(({ topic, partition }) => partitionKey(topic, partition)));
    this.#joined = true;
  }

  /** The group shares out anew: what we had stays ours until we have joined again. */
  rejoining(): void {
    this.#joined = false;
  }

  /** We have left the group, or were left: nothing is ours. */
  leave(): void {
    this.#joined = false;
    this.#assigned = new Set();
    this.#partitions = [];
  }
}
