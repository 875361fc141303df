import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { withAdmin } from './admin.js';
import type { ConnectionSettings } from './settings.js';

/** Settings of topics as the broker has them, by topic. Values are texts, as Kafka keeps them. */
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

/** `max.message.bytes` of each topic. Rejects with kafkajs's error where a topic is missing or may not be described. */
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
