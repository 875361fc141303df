/** Kafka, the only folder that imports kafkajs. */
export { createSourceConsumer } from '../../consumers/group-member.js';
export type {
  SourceConsumer,
  SourceConsumerOptions,
  SourceConsumerState,
} from '../../consumers/consumer-options.js';
export type { BatchReport } from '../../consumers/batches.js';
export type { FailingPartition } from '../../consumers/failures.js';
export { forgetGroup, readGroup } from './groups.js';
export type { GroupFacts } from './groups.js';
export type { TopicPartition } from '../../consumers/membership.js';
export { createKafkaOutlet } from '../../producers/producer.js';
export type { KafkaOutlet, KafkaOutletOptions, StreamBinding } from '../../producers/producer.js';
export { readOffsetRanges } from './offsets.js';
export type { OffsetRange } from './offsets.js';
export { ping, readClusterId } from './ping.js';
export type { PingOptions } from './ping.js';
export type { ReadRange } from '../../consumers/read-range.js';
export { refuseUnsafeFlags } from './settings.js';
export type { KafkaSasl, KafkaSettings, KafkaTls } from './settings.js';
export { deleteRecords, groupsBehind, readPartitionFacts } from './source-records.js';
export type { PartitionFacts, RecordsBelow } from './source-records.js';
export { checkTopics } from './topic-checks.js';
export type { TopicProblem, TopicSeverity } from './topic-checks.js';
export { createTopics } from './topics.js';
export type { TopicCreation, TopicNames, TopicPlan } from './topics.js';
