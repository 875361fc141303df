import kafkajs from 'kafkajs';
import type { Admin, ITopicConfig } from 'kafkajs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { WorkerError } from '../errors.js';
import type { SourceTopics } from '../events/decode.js';
import { askBroker, withAdmin } from './admin.js';
import { brokerErrorName } from './errors.js';
import type { ConnectionSettings } from './settings.js';

/** The names of this worker's topics. One topic may serve for all three source events. */
export interface TopicNames extends SourceTopics {
  readonly secured: string;
  readonly deadLetter: string;
}

interface TopicPlan {
  readonly names: TopicNames;
  /** Partitions of each topic; 6 by default. */
  readonly partitions?: number;
  /** -1, the default: the broker's default. */
  readonly replicationFactor?: number;
  /** How long source events stay, which may hold plaintext passwords; 7 days by default. */
  readonly sourceRetentionMs?: number;
  /** `compact` (default): the newest event of each connection stays. A number: how long events stay, -1 forever. */
  readonly securedRetention?: 'compact' | number;
  /** How long dead letters stay in their topic (the table keeps them anyway); 30 days by default. */
  readonly deadLetterRetentionMs?: number;
  /** `max.message.bytes` of each topic; by default the broker's. */
  readonly maxMessageBytes?: number;
}

interface TopicCreation {
  readonly topic: string;
  /** `existed`: the topic was left as it is. */
  readonly outcome: 'created' | 'existed';
}

const DAY_MS = 86_400_000;
const LEADERS_WAIT_MS = 10_000;
const LOOK_AGAIN_MS = 100;
const NOT_YET: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
]);

export const sourceTopics = ({ created, updated, deleted }: SourceTopics): readonly string[] => [
  ...new Set([created, updated, deleted]),
];

/** The topics that `topics create` creates, each once. */
export function toTopicConfigs(plan: TopicPlan): readonly ITopicConfig[] {
  const { names, securedRetention = 'compact' } = plan;
  const deletedAfter = (ms: number): Record<string, string> => ({
    'cleanup.policy': 'delete',
    'retention.ms': String(ms),
  });
  const config = (topic: string, entries: Record<string, string>): ITopicConfig => ({
    topic,
    numPartitions: plan.partitions ?? 6,
    replicationFactor: plan.replicationFactor ?? -1,
    configEntries: Object.entries({
      ...entries,
      ...(plan.maxMessageBytes === undefined ? {} : { 'max.message.bytes': String(plan.maxMessageBytes) }),
    }).map(([name, value]) => ({ name, value })),
  });
  return [
    ...sourceTopics(names).map((topic) => config(topic, deletedAfter(plan.sourceRetentionMs ?? 7 * DAY_MS))),
    config(
      names.secured,
      securedRetention === 'compact' ? { 'cleanup.policy': 'compact' } : deletedAfter(securedRetention),
    ),
    config(names.deadLetter, deletedAfter(plan.deadLetterRetentionMs ?? 30 * DAY_MS)),
  ];
}

/**
 * Creates missing topics and waits until they can be used. Leaves existing topics as they are.
 * @throws WorkerError BROKER_UNAVAILABLE naming Kafka's error
 */
export async function createTopics(
  settings: ConnectionSettings,
  plan: TopicPlan,
  logger: Logger,
): Promise<readonly TopicCreation[]> {
  return askBroker(settings, logger, 'creating topics', async (admin) => {
    const configs = toTopicConfigs(plan);
    const existing = new Set(await admin.listTopics());
    const missing = configs.filter(({ topic }) => !existing.has(topic));
    if (missing.length > 0) await admin.createTopics({ topics: missing, waitForLeaders: false });
    await waitForLeaders(
      admin,
      missing.map(({ topic }) => topic),
    );
    return configs.map(({ topic }) => ({ topic, outcome: existing.has(topic) ? 'existed' : 'created' }));
  });
}

/** The controller knows a new topic first, the brokers later; the leaders can be written to last. */
async function waitForLeaders(admin: Admin, topics: readonly string[]): Promise<void> {
  const until = performance.now() + LEADERS_WAIT_MS;
  for (const topic of topics) {
    while (!(await hasLeaders(admin, topic))) {
      if (performance.now() > until) {
        throw new WorkerError(
          'BROKER_UNAVAILABLE',
          `creating topics failed: ${topic} has no leaders yet; run it again`,
        );
      }
      await sleep(LOOK_AGAIN_MS);
    }
  }
}

/** Only the leader of a partition answers with its offsets: if we can read them, we can write to the partition. */
async function hasLeaders(admin: Admin, topic: string): Promise<boolean> {
  try {
    await admin.fetchTopicOffsets(topic);
    return true;
  } catch (error) {
    if (!NOT_YET.has(brokerErrorName(error))) throw error;
    return false;
  }
}

/** Topic configurations on the broker: by topic, then by name. Values are strings, as in Kafka. */
export async function describeTopicConfigs(
  admin: Admin,
  topics: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: [...names],
    })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

/** `max.message.bytes` of each topic. Rejects with kafkajs's error if a topic is missing or we may not describe it. */
export async function readMaxMessageBytes(
  settings: ConnectionSettings,
  logger: Logger,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  return withAdmin(settings, logger, async (admin) => {
    const configs = await describeTopicConfigs(admin, [...new Set(topics)], ['max.message.bytes']);
    const limits = new Map<string, number>();
    for (const [topic, entries] of configs) {
      const bytes = Number(entries.get('max.message.bytes'));
      if (Number.isSafeInteger(bytes) && bytes > 0) limits.set(topic, bytes);
    }
    return limits;
  });
}
