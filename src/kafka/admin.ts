import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { WorkerError } from '../errors.js';
import { createKafkaClient } from './client.js';
import { withDeadline } from './deadline.js';
import { brokerUnavailable } from './errors.js';
import type { ConnectionSettings } from './settings.js';

/** An administrative task is several requests. */
const REQUESTS = 4;

/** Runs `task` with an admin client of its own, which is closed afterwards, whatever happens. */
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
 * {@link withAdmin}, for those who go on with what the broker says.
 * @param call names the task in the message: `reading offsets`
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
