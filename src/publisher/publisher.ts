import type { Logger } from 'pino';
import { compileCatalogue, createFieldFinder, loadCatalogue, shippedCatalogue } from '../catalog/index.js';
import type { CloudEventMode } from '../events/cloud-event.js';
import type { SourceTopics } from '../events/decode.js';
import { KeyRing } from '../fernet/index.js';
import type { ConnectionSettings } from '../kafka/settings.js';
import { createLogger } from '../observability/logger.js';
import type { EntityChange } from './change.js';
import { changeRecordOf, SOURCE_TOPICS } from './change-record.js';
import type { ChangeRecord, ChangeRecordOptions } from './change-record.js';
import { ChangeProducer } from '../../producers/changes.js';

/** Which fields are sealed: the same settings as the worker's (docs/catalog.md). */
export interface SealingRules {
  /** Your own catalogue (`connection-secrets catalog build`). Default: the one that ships. */
  readonly catalogFile?: string;
  /** A secret that only its name or text tells: sealed (default), or the change is refused. It never goes out in the clear. */
  readonly byName?: 'externalise' | 'refuse';
  /** A connector that the catalogue does not have: searched by name (default), or the change is refused. */
  readonly unknownConnector?: 'heuristic' | 'refuse';
  /** SECRET_PATHS_EXTRA */
  readonly extraPaths?: readonly string[];
  /** SECRET_PATHS_EXCLUDED: nothing there is sealed, whatever it looks like. */
  readonly excludedPaths?: readonly string[];
}

export interface SealerOptions {
  /** PUBLISHER_FERNET_KEY, keys with commas between them: the first one seals. The worker needs every key that is in use. */
  readonly fernetKeys: string;
  /** Default: `connection.created`, `connection.updated`, `connection.deleted`. */
  readonly topics?: Partial<SourceTopics>;
  /** CloudEvents mode. Default `structured`. */
  readonly mode?: CloudEventMode;
  /** `source` of the CloudEvents. Default `/metadata-server`. */
  readonly source?: string;
  readonly rules?: SealingRules;
}

export interface PublisherOptions extends SealerOptions {
  readonly kafka: Pick<ConnectionSettings, 'brokers'> & Partial<ConnectionSettings>;
  /** How long `publish` waits for the brokers at most, all attempts together, milliseconds. Default 30,000. */
  readonly sendTimeoutMs?: number;
  /** Its lines carry names and codes, never a value. Default: silent. */
  readonly logger?: Logger;
}

/** Builds records without sending them, for programs with a Kafka producer (or an outbox) of their own. */
export interface ChangeSealer {
  /** @throws EventError naming the member or field, never a value */
  seal(change: EntityChange): ChangeRecord;
}

export interface Publisher extends ChangeSealer {
  /**
   * Seals and sends. Resolves when all in-sync replicas have the record. Changes are sent in the order of the calls; you
   * need not await one before the next.
   *
   * @returns the record that was sent
   * @throws EventError if the change is refused: nothing was sent, and publishing it again does not help
   * @throws WorkerError BROKER_UNAVAILABLE: the record may have been sent or not; publish it again with the same `id`
   */
  publish(change: EntityChange): Promise<ChangeRecord>;
  /** Publishes several changes together, in this order. If one is refused, none is sent. */
  publishAll(changes: readonly EntityChange[]): Promise<readonly ChangeRecord[]>;
  /** Waits for records that are being sent, then closes the connection. */
  close(): Promise<void>;
}

const SEND_TIMEOUT_MS = 30_000;

/** @throws ConfigurationError CONFIG_INVALID for a bad key or catalogue */
export function createChangeSealer(options: SealerOptions): ChangeSealer {
  const { rules = {}, mode = 'structured', source = '/metadata-server' } = options;
  const catalogue = compileCatalogue(
    rules.catalogFile === undefined ? shippedCatalogue() : loadCatalogue(rules.catalogFile),
    {
      byName: rules.byName ?? 'externalise',
      unknownConnector: rules.unknownConnector ?? 'heuristic',
      extraPaths: rules.extraPaths ?? [],
      excludedPaths: rules.excludedPaths ?? [],
    },
  );
  const build: ChangeRecordOptions = {
    topics: { ...SOURCE_TOPICS, ...options.topics },
    mode,
    source,
    // The publisher makes no secret ids, so it cleans no segments.
    finder: createFieldFinder({ catalogue, cleanSegment: (text) => text }),
    ring: KeyRing.parse('PUBLISHER_FERNET_KEY', options.fernetKeys),
  };
  return { seal: (change) => changeRecordOf(change, build, Date.now()) };
}

/**
 * Makes a publisher. It connects when the first change is published.
 *
 * @throws ConfigurationError CONFIG_INVALID for a bad key or catalogue; UNSAFE_DEBUG_FLAG if the environment would make the
 *   Kafka client print records
 */
export function createPublisher(options: PublisherOptions): Publisher {
  const sealer = createChangeSealer(options);
  const sender = new ChangeProducer({
    settings: { clientId: 'connection-secrets-publisher', requestTimeoutMs: 10_000, ...options.kafka },
    sendTimeoutMs: options.sendTimeoutMs ?? SEND_TIMEOUT_MS,
    logger: options.logger ?? createLogger({ level: 'silent' }),
  });
  const publishAll = async (changes: readonly EntityChange[]): Promise<readonly ChangeRecord[]> => {
    const records = changes.map((change) => sealer.seal(change));
    await sender.send(records);
    return records;
  };
  return {
    ...sealer,
    publishAll,
    publish: async (change) => {
      const record = sealer.seal(change);
      await sender.send([record]);
      return record;
    },
    close: () => sender.close(),
  };
}
