import type { Logger } from 'pino';
import { askBroker } from './admin.js';
import { createKafkaClient } from './client.js';
import { withDeadline } from './deadline.js';
import { brokerUnavailable } from './errors.js';
import type { ConnectionSettings } from './settings.js';

export interface PingOptions {
  readonly logger: Logger;
  readonly deadlineMs: number;
}

/**
 * Opens a connection to one broker of the list (authenticating where configured), learns its versions, closes it.
 * Rejects with the error of kafkajs.
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
 * Whether a broker answers: for readiness.
 * @throws WorkerError BROKER_UNAVAILABLE within `deadlineMs` (and little more)
 */
export async function ping(settings: ConnectionSettings, options: PingOptions): Promise<void> {
  try {
    await probe(settings, options);
  } catch (error) {
    throw brokerUnavailable('connecting to the broker', error);
  }
}

/**
 * The id that the cluster gave itself when it was made.
 * @throws WorkerError BROKER_UNAVAILABLE, BROKER_ACCESS
 */
export async function readClusterId(settings: ConnectionSettings, logger: Logger): Promise<string> {
  const { clusterId } = await askBroker(settings, logger, 'reading the id of the cluster', (admin) =>
    admin.describeCluster(),
  );
  return clusterId;
}
