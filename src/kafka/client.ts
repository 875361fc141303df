import { Kafka, logLevel } from 'kafkajs';
import type { KafkaConfig, RetryOptions } from 'kafkajs';
import type { Logger } from 'pino';
import { ConfigurationError } from '../errors.js';
import { unsafeFlagsIn } from '../unsafe-flags.js';
import { installDecoder } from './decoder.js';
import { createLogCreator } from './logging.js';
import type { TopicPartition } from './partitions.js';
import { toSaslOptions, toTlsOptions } from './settings.js';
import type { ConnectionSettings, KafkaSettings } from './settings.js';
import { createSockets } from './sockets.js';

// Before the first fetch: kafkajs loads its decoder only once.
installDecoder();

const CONNECTION_TIMEOUT_MS = 3_000;
const LOGIN_TIMEOUT_MS = 10_000;
/** Time for the network, beside the time for which the broker holds an answer back. */
const NETWORK_MS = 5_000;

export interface KafkaClient {
  readonly kafka: Kafka;
  /** Closes every connection of this client at once. It sends nothing after that. */
  close(): void;
}

interface KafkaClientOptions {
  readonly logger: Logger;
  /** The process's environment: kafkajs reads debug flags from it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** kafkajs's own retries within one call. */
  readonly retry?: RetryOptions;
  /** Called when a consumer's next record no longer exists: kafkajs goes on with the oldest record. */
  readonly onOutOfRange?: ((of: TopicPartition) => void) | undefined;
}

/** The configuration of kafkajs, without sockets and log. */
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

/**
 * Refuses to work if kafkajs would print the contents of records.
 * @throws ConfigurationError UNSAFE_DEBUG_FLAG, naming the variable
 */
// eslint-disable-next-line no-restricted-properties -- kafkajs reads these flags from there, whatever we configure
export function requireSafeEnvironment(env: KafkaClientOptions['env'] = process.env): void {
  const [flag] = unsafeFlagsIn(env);
  if (flag === undefined) return;
  throw new ConfigurationError(
    'UNSAFE_DEBUG_FLAG',
    `${flag} is set: kafkajs would print the contents of records; unset it`,
  );
}

/**
 * A kafkajs client that reads gzip, snappy, lz4 and zstd, logs to pino without contents, and whose `close` always works.
 * @throws ConfigurationError UNSAFE_DEBUG_FLAG: see {@link requireSafeEnvironment}
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
 * {@link createKafkaClient} for a member of a consumer group, with a longer request time-out. The broker holds back the
 * answer to SyncGroup until the group's leader has assigned the partitions. If that leader has died, the broker notices
 * it only when its session expires. kafkajs gives more time to JoinGroup, but not to SyncGroup: members would give up,
 * come back as new members, and delay the rebalance forever.
 */
export function createGroupClient(settings: KafkaSettings, options: KafkaClientOptions): KafkaClient {
  const { requestTimeoutMs, sessionTimeoutMs } = settings;
  return createKafkaClient(
    { ...settings, requestTimeoutMs: Math.max(requestTimeoutMs, sessionTimeoutMs + NETWORK_MS) },
    options,
  );
}
