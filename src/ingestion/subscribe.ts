import type { Logger } from 'pino';
import { WorkerError } from '../errors.js';
import { decodeSecuredEvent } from '../events/decode-secured.js';
import type { BackoffOptions } from '../kafka/backoff.js';
import type { KafkaSettings } from '../kafka/settings.js';
import { createLogger } from '../observability/logger.js';
import type { SecuredEvent, SourceRecord } from '../terms.js';
import { Deliveries } from './deliveries.js';
import type { GiveUp, SecuredHandler } from './deliveries.js';
import { SecuredConsumer } from '../../consumers/secured-events.js';
import type { SecuredConsumerState } from '../../consumers/secured-events.js';
import { LatestStates } from './latest-states.js';
import type { Resolver } from './resolver.js';

/** How to reach Kafka: `brokers` as `host:port`; the rest has defaults. */
export type KafkaAccess = Pick<KafkaSettings, 'brokers'> &
  Partial<Pick<KafkaSettings, 'clientId' | 'ssl' | 'sasl' | 'requestTimeoutMs' | 'sessionTimeoutMs'>>;

export interface SubscribeOptions {
  readonly kafka: KafkaAccess;
  /** One group per ingestion deployment: its members share the partitions. */
  readonly groupId: string;
  readonly resolver: Resolver;
  /** Default `connection.secured`. */
  readonly topic?: string;
  /** How many events may be with the handler at once. Default 8. */
  readonly concurrency?: number;
  /**
   * How many unhandled events of one partition may be in memory; then the partition is paused. Default 1,000: as many
   * failing connections delay no other one.
   */
  readonly maxPending?: number;
  /**
   * Which of the unread events of a partition the handler gets. `earliest` (default): every event, in order.
   * `latest-state`: the partition is read to its end first, and the handler gets only the newest state of each connection.
   * That takes memory for one event of each connection.
   */
  readonly from?: 'earliest' | 'latest-state';
  /** When to stop trying one event. Default: never; a newer event of the connection always takes its place. */
  readonly giveUp?: GiveUp;
  /** Between attempts. Default 200 to 30,000 ms, exponential with full jitter. */
  readonly backoff?: BackoffOptions;
  /**
   * What to do with a record that is no secured event. `hold` (default): its offset is not committed, so the next start,
   * perhaps of a newer version, reads it again; all other events go on. `skip`: log it and go on.
   */
  readonly unreadable?: 'hold' | 'skip';
  /** Gets names, ids, positions and codes, never a value. Default: silent. */
  readonly logger?: Logger;
}

/** A running subscription; it connects again by itself until {@link stop}. */
export interface Subscription {
  /** Whether it is a member of its group and reads, which partitions it has, what went wrong last: for health checks. */
  state(): SecuredConsumerState;
  /**
   * Begins nothing more, lets handlers finish for up to `graceMs` (default 10,000), aborts the rest, commits what is
   * handled and leaves the group. What was not finished comes again at the next start. Does not close the resolver.
   */
  stop(graceMs?: number): Promise<void>;
}

const DEFAULT_TOPIC = 'connection.secured';
const GRACE_MS = 10_000;
const ABORT_MS = 1_000;
const BACKOFF: BackoffOptions = { minMs: 200, maxMs: 30_000 };

/**
 * Reads `connection.secured` and hands each event to the handler at least once, events of one connection in their order,
 * only what is newer than the last one handled. The newest wins over an older one that fails. Begins to connect and returns.
 *
 * @throws ConfigurationError UNSAFE_DEBUG_FLAG where the environment would make the Kafka client print records
 */
export function subscribeSecured(options: SubscribeOptions, handler: SecuredHandler): Subscription {
  const { logger = createLogger({ level: 'silent' }), topic = DEFAULT_TOPIC } = options;
  const deliveries = new Deliveries({
    handler,
    resolver: options.resolver,
    concurrency: options.concurrency ?? 8,
    backoff: options.backoff ?? BACKOFF,
    ...(options.giveUp === undefined ? {} : { giveUp: options.giveUp }),
    logger,
  });
  const backlog = new LatestStates((event, origin, done) => {
    deliveries.accept(event, origin, done);
  });
  const reader = new SecuredConsumer({
    settings: settingsOf(options),
    topic,
    maxOpen: options.maxPending ?? 1_000,
    logger,
    toTheEndFirst: options.from === 'latest-state',
    onLost: (origin) => {
      backlog.lose(origin);
      deliveries.lose(origin);
    },
    onEnd: (origin) => {
      backlog.handOver(origin);
    },
    onRecord: ({ record, origin, isBacklog, done }) => {
      const event = read(record, logger);
      if (event === null || (event === 'unreadable' && options.unreadable === 'skip')) done();
      else if (event !== 'unreadable') (isBacklog ? backlog : deliveries).accept(event, origin, done);
    },
  });
  reader.start();
  let stopped: Promise<void> | null = null;
  return {
    state: () => reader.state(),
    stop: (graceMs = GRACE_MS) => {
      stopped ??= (async () => {
        reader.halt();
        await deliveries.stop(graceMs, ABORT_MS);
        await reader.leave();
      })();
      return stopped;
    },
  };
}

/** Null: a tombstone, which says nothing. */
function read(record: SourceRecord, logger: Logger): SecuredEvent | null | 'unreadable' {
  try {
    return decodeSecuredEvent(record);
  } catch (error) {
    const { topic, partition, offset } = record;
    const code = error instanceof WorkerError ? error.code : 'INTERNAL';
    const reason = error instanceof WorkerError ? error.message : 'the record could not be read';
    logger.error({ topic, partition, offset, code, reason }, 'a record is no secured event');
    return 'unreadable';
  }
}

function settingsOf({ kafka, groupId }: SubscribeOptions): KafkaSettings {
  const sessionTimeoutMs = kafka.sessionTimeoutMs ?? 30_000;
  return {
    clientId: 'connection-secrets-ingestion',
    requestTimeoutMs: 10_000,
    ...kafka,
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: Math.max(60_000, sessionTimeoutMs),
  };
}
