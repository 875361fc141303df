import { createSourceConsumer } from './group-member.js';
import type { ReadRange } from './partition-run.js';
import type { SourceConsumer, SourceConsumerOptions } from './consumer-options.js';

/**
 * A part of the source topics, read again: the same records as {@link consumeSourceEvents} has, to the same handler, by
 * the replay's own positions. Its group is its own, and no group's offsets change.
 */
export function consumeAgain(
  topics: readonly string[],
  range: ReadRange,
  options: Omit<SourceConsumerOptions, 'topics' | 'range'>,
): SourceConsumer {
  return createSourceConsumer({ ...options, topics, range });
}
