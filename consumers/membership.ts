import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';

/** The partitions that the group has assigned to this process. */
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

  /** A rebalance has begun. This process keeps its partitions until it has joined again. */
  rejoining(): void {
    this.#joined = false;
  }

  /** This process has left the group, or was removed from it: it has no partitions. */
  leave(): void {
    this.#joined = false;
    this.#assigned = new Set();
    this.#partitions = [];
  }
}
