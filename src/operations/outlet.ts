import { KafkaOutlet } from '../../producers/outlet.js';
import type { Config } from '../config.js';
import { WorkerError } from '../errors.js';
import { readClusterId } from '../kafka/admin.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { Logger } from '../observability/index.js';
import type { Outlet } from '../transport.js';

export interface OpenedOutlet {
  readonly outlet: Outlet;
  /** False: there is no broker. */
  readonly publishes: boolean;
  readonly kafkaCluster: (() => Promise<string>) | null;
  readonly close: () => Promise<void>;
}

const CLOSE_DEADLINE_MS = 5_000;
/** Kafka's default, for want of a broker that says what its topics take. */
const DEFAULT_RECORD_BYTES = 1_000_000;

/** Opens what a command publishes to: the broker, if one is configured. */
export async function openOutlet(config: Config<'keys'>, logger: Logger): Promise<OpenedOutlet> {
  const { kafka, claims, topics } = config;
  if (kafka === null) {
    const outlet = heldBack(claims.storeTimeoutMs);
    return { outlet, publishes: false, kafkaCluster: null, close: () => Promise.resolve() };
  }
  const settings = kafkaSettings({ kafka, claims });
  const outlet = new KafkaOutlet({ settings, topics, logger });
  await outlet.readLimits();
  return {
    outlet,
    publishes: true,
    kafkaCluster: () => readClusterId(settings, logger),
    close: () => outlet.close(CLOSE_DEADLINE_MS),
  };
}

/** The outlet without a broker: every record waits in the database for a worker that has one. */
export function heldBack(requestTimeoutMs: number): Outlet {
  return {
    requestTimeoutMs,
    maxRecordBytes: () => DEFAULT_RECORD_BYTES,
    send: () => Promise.reject(new WorkerError('BROKER_UNAVAILABLE', 'KAFKA_BROKERS is not set')),
  };
}
