import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { WorkerError } from '../errors.js';
import { createKafkaClient } from './client.js';
import { withDeadline } from './deadline.js';
import { brokerErrorName, brokerUnavailable } from './errors.js';
import type { ConnectionSettings, KafkaSettings } from './settings.js';

/** A task may send this many requests, each with its own time-out. */
const REQUESTS = 4;

/** Runs `task` with its own admin client, and closes it in any case. */
export async function withAdmin<T>(
  settings: ConnectionSettings,
  logger: Logger,
  task: (admin: Admin) => Promise<T>,
): Promise<T> {
  const client = createKafkaClient(settings, { logger });
  const admin = client.kafka.admin();
  const work = async (): Promise<T> => {
    await admin.connect();
    const result = await task(admin);
    await admin.disconnect();
    return result;
  };
  try {
    return await withDeadline(work(), REQUESTS * settings.requestTimeoutMs);
  } finally {
    client.close();
  }
}

/**
 * {@link withAdmin} with errors of ours.
 * @param call names the task in the message, such as `reading offsets`
 * @throws WorkerError BROKER_UNAVAILABLE naming Kafka's error
 */
export async function askBroker<T>(
  settings: ConnectionSettings,
  logger: Logger,
  call: string,
  task: (admin: Admin) => Promise<T>,
): Promise<T> {
  try {
    return await withAdmin(settings, logger, task);
  } catch (error) {
    throw error instanceof WorkerError ? error : brokerUnavailable(call, error);
  }
}

interface PingOptions {
  readonly logger: Logger;
  readonly deadlineMs: number;
}

/**
 * Connects to one broker of the list, logs in if configured, and disconnects. Rejects with kafkajs's error.
 */
export async function probe(
  settings: ConnectionSettings,
  { logger, deadlineMs }: PingOptions,
): Promise<void> {
  const retry = { retries: settings.brokers.length - 1, initialRetryTime: 10, maxRetryTime: 100 };
  const client = createKafkaClient(settings, { logger, retry });
  const admin = client.kafka.admin({ retry });
  try {
    await withDeadline(admin.connect(), deadlineMs);
    await withDeadline(admin.disconnect(), deadlineMs).catch(() => undefined);
  } finally {
    client.close();
  }
}

/**
 * Checks that a broker answers: for readiness.
 * @throws WorkerError BROKER_UNAVAILABLE, BROKER_ACCESS after little more than `deadlineMs`
 */
export async function ping(settings: ConnectionSettings, options: PingOptions): Promise<void> {
  try {
    await probe(settings, options);
  } catch (error) {
    throw brokerUnavailable('connecting to the broker', error);
  }
}

/**
 * The id that the Kafka cluster has given itself.
 * @throws WorkerError BROKER_UNAVAILABLE, BROKER_ACCESS
 */
export async function readClusterId(settings: ConnectionSettings, logger: Logger): Promise<string> {
  const { clusterId } = await askBroker(settings, logger, 'reading the id of the cluster', (admin) =>
    admin.describeCluster(),
  );
  return clusterId;
}

interface GroupFacts {
  /** Its members now. */
  readonly members: number;
  /** Those of the given topics in which it has committed an offset. */
  readonly topics: readonly string[];
}

/**
 * Asks the broker about the consumer group of the settings.
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

/** Deletes the consumer group of the settings, which must have no members. Does not reject: an empty group expires. */
export async function forgetGroup(settings: KafkaSettings, logger: Logger): Promise<void> {
  try {
    await withAdmin(settings, logger, (admin) => admin.deleteGroups([settings.groupId]));
  } catch (error) {
    logger.debug({ error: brokerErrorName(error) }, 'the consumer group was not deleted: it will expire');
  }
}
