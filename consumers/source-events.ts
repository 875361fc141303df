import { createSourceConsumer } from './group-member.js';
import type { SourceConsumer, SourceConsumerOptions } from './consumer-options.js';
import type { TopicNames } from '../src/kafka/topics.js';

/**
 * `connection.created`, `connection.updated` and `connection.deleted` → the pipeline's one handler.
 * The event itself says what it means (its `eventType`), so all three topics go the same way, and may be one topic.
 */
export function consumeSourceEvents(
  topics: Pick<TopicNames, 'created' | 'updated' | 'deleted'>,
  options: Omit<SourceConsumerOptions, 'topics'>,
): SourceConsumer {
  return createSourceConsumer({ ...options, topics: [topics.created, topics.updated, topics.deleted] });
}
