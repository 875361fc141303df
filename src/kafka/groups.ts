import type { Logger } from 'pino';
import { askBroker, withAdmin } from './admin.js';
import { brokerErrorName } from './errors.js';
import type { KafkaSettings } from './settings.js';

export interface GroupFacts {
  /** Members it has at present. */
  readonly members: number;
  /** Of the topics asked for, those it has committed offsets of. */
  readonly topics: readonly string[];
}

/**
 * What the broker knows of the settings' own group.
 * @throws WorkerError BROKER_UNAVAILABLE naming Kafka's error
 */
export async function readGroup(
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
): Promise<GroupFacts> {
  const { groupId } = settings;
  return askBroker(settings, logger, 'reading the group', async (admin) => {
    const { groups } = await admin.describeGroups([groupId]);
    const offsets = await admin.fetchOffsets({ groupId, topics: [...topics] });
    return {
      members: groups[0]?.members.length ?? 0,
      topics: offsets
        .filter(({ partitions }) => partitions.some(({ offset }) => Number(offset) >= 0))
        .map(({ topic }) => topic),
    };
  });
}

/** Removes the settings' own group, which must have no members. Does not reject: an empty group expires by itself. */
export async function forgetGroup(settings: KafkaSettings, logger: Logger): Promise<void> {
  try {
    await withAdmin(settings, logger, (admin) => admin.deleteGroups([settings.groupId]));
  } catch (error) {
    logger.debug({ error: brokerErrorName(error) }, 'the group was not deleted: it expires by itself');
  }
}
