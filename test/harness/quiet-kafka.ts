import { Kafka, logLevel } from 'kafkajs';

/** A plain Kafka client that prints nothing. `attempts`: how often a request is tried again (default 8). */
export function quietKafka(brokers: string, { attempts = 8 }: { attempts?: number } = {}): Kafka {
  return new Kafka({
    clientId: 'test-harness',
    brokers: brokers.split(','),
    logLevel: logLevel.NOTHING,
    connectionTimeout: 5_000,
    retry: { retries: attempts, initialRetryTime: 100, maxRetryTime: 2_000 },
  });
}
