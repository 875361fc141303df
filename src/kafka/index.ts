/** Kafka, the only folder that imports kafkajs. */
export { createSourceConsumer } from './consumer.js';
export type { SourceConsumer, SourceConsumerOptions, SourceConsumerState } from './consumer-options.js';
export type { BatchReport } from './batches.js';
export type { FailingPartition } from './failures.js';
export type { TopicPartition } from './membership.js';
export { createKafkaOutlet } from './outlet.js';
export type { KafkaOutlet, KafkaOutletOptions, StreamBinding } from './outlet.js';
export { ping } from './ping.js';
export type { PingOptions } from './ping.js';
export { refuseUnsafeFlags } from './settings.js';
export type { KafkaSasl, KafkaSettings, KafkaTls } from './settings.js';
export { checkTopics } from './topic-checks.js';
export type { TopicProblem, TopicSeverity } from './topic-checks.js';
export { createTopics } from './topics.js';
export type { TopicCreation, TopicNames, TopicPlan } from './topics.js';
