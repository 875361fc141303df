import { Kafka, logLevel } from 'kafkajs';
import type { KafkaConfig, RetryOptions } from 'kafkajs';
import type { Logger } from 'pino';
import { installDecoder } from './decoder.js';
import { createLogCreator } from './logging.js';
import type { TopicPartition } from './partitions.js';
import { refuseUnsafeFlags, toSaslOptions, toTlsOptions } from './settings.js';
import type { ConnectionSettings, KafkaSettings } from './settings.js';
import { createSockets } from './sockets.js';

// Before anything is fetched: kafkajs looks for its decoder then, once.
installDecoder();

const CONNECTION_TIMEOUT_MS = 3_000;
const LOGIN_TIMEOUT_MS = 10_000;
/** What an answer may take on its way beyond what the broker holds it back. */
const NETWORK_MS = 5_000;

export interface KafkaClient {
  readonly kafka: Kafka;
  /** Closes every connection of this client at once. Nothing is sent after it. */
  close(): void;
}

export interface KafkaClientOptions {
  readonly logger: Logger;
  /** The process's environment: kafkajs reads debug flags from it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** kafkajs's own retries within one call. */
  readonly retry?: RetryOptions;
  /** The next record of a consumer is not there any more: it goes on with the oldest one there is. */
  readonly onOutOfRange?: ((of: TopicPartition) => void) | undefined;
}

/** What kafkajs is configured with, without sockets and log. */
export function toKafkaConfig(settings: ConnectionSettings): KafkaConfig {
  return {
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    ssl: toTlsOptions(settings.ssl),
    ...(settings.sasl === undefined ? {} : { sasl: toSaslOptions(settings.sasl) }),
    connectionTimeout: Math.min(CONNECTION_TIMEOUT_MS, settings.requestTimeoutMs),
    authenticationTimeout: Math.min(LOGIN_TIMEOUT_MS, settings.requestTimeoutMs),
    requestTimeout: settings.requestTimeoutMs,
    enforceRequestTimeout: true,
  };
}

/** @throws ConfigurationError UNSAFE_DEBUG_FLAG where the environment would make kafkajs print records */
export function requireSafeEnvironment(env?: KafkaClientOptions['env']): void {
  // eslint-disable-next-line no-restricted-properties -- kafkajs reads these flags from there, whatever we configure
  refuseUnsafeFlags(env ?? process.env);
}

/**
 * A kafkajs client that reads gzip, snappy, lz4 and zstd, logs to pino without contents and can be closed for certain.
 * @throws ConfigurationError UNSAFE_DEBUG_FLAG where the environment would make kafkajs print records
 */
export function createKafkaClient(settings: ConnectionSettings, options: KafkaClientOptions): KafkaClient {
  requireSafeEnvironment(options.env);
  const sockets = createSockets();
  const kafka = new Kafka({
    ...toKafkaConfig(settings),
    retry: options.retry ?? { retries: 3, initialRetryTime: 100, maxRetryTime: 2_000 },
    logLevel: logLevel.INFO,
    logCreator: createLogCreator(options.logger, Date.now, options.onOutOfRange),
    socketFactory: sockets.factory,
  });
  return { kafka, close: () => sockets.close() };
}

/**
 * The same for a member of a group. The broker holds back the answer to SyncGroup until the group's leader has shared out
 * the partitions: a leader that has died is missed after its session only, and kafkajs gives no request but JoinGroup more
 * time. A member that gave up before would come back as another one, be waited for itself, and so on.
 */
export function createGroupClient(settings: KafkaSettings, options: KafkaClientOptions): KafkaClient {
  const { requestTimeoutMs, sessionTimeoutMs } = settings;
  return createKafkaClient(
    { ...settings, requestTimeoutMs: Math.max(requestTimeoutMs, sessionTimeoutMs + NETWORK_MS) },
    options,
  );
}
