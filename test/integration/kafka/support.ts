import { pino } from 'pino';
import type { Logger } from 'pino';
import { WorkerError } from '../../../src/errors.js';
import type { SourceConsumerOptions } from '../../../consumers/source-events.js';
import { SourceConsumer } from '../../../consumers/source-events.js';
import type { KafkaSettings } from '../../../src/kafka/settings.js';
import type { RecordOutcome, SourceRecord } from '../../../src/terms.js';
import type { RecordHandler } from '../../../src/transport.js';
import { disposeLater, freshName } from '../../harness/index.js';
import type { TopicPartition } from '../../../src/kafka/partitions.js';

export const SILENT: Logger = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' });

export function kafkaSettings(brokers: string, changes: Partial<KafkaSettings> = {}): KafkaSettings {
  return {
    brokers: brokers.split(','),
    clientId: 'test',
    groupId: freshName('group'),
    sessionTimeoutMs: 6_000,
    rebalanceTimeoutMs: 6_000,
    requestTimeoutMs: 5_000,
    ...changes,
  };
}

export interface Handled {
  readonly record: SourceRecord;
  readonly signal: AbortSignal;
  resolve(): void;
  reject(error: unknown): void;
}

/** What a test does with each record; nothing returned: the record succeeds at once. */
export type Behaviour = (handled: Handled) => 'wait' | undefined;

/** A pipeline that does what the test says and keeps what it was given, in order. */
export class FakeHandler implements RecordHandler {
  readonly begun: Handled[] = [];
  readonly done: SourceRecord[] = [];
  behaviour: Behaviour = () => undefined;

  async handle(record: SourceRecord, signal: AbortSignal): Promise<RecordOutcome> {
    await new Promise<void>((resolve, reject) => {
      const handled: Handled = { record, signal, resolve, reject };
      this.begun.push(handled);
      if (this.behaviour(handled) !== 'wait') resolve();
    });
    this.done.push(record);
    return 'applied';
  }

  offsets(partition: number, of: 'begun' | 'done' = 'begun'): number[] {
    const records = of === 'done' ? this.done : this.begun.map(({ record }) => record);
    return records.filter((record) => record.partition === partition).map(({ offset }) => offset);
  }

  texts(): string[] {
    return this.done.map(({ value }) => value?.toString() ?? '');
  }

  /** The newest call for this record. */
  find(partition: number, offset: number): Handled | undefined {
    return this.begun.findLast(({ record }) => record.partition === partition && record.offset === offset);
  }
}

export const transient = (): WorkerError => new WorkerError('STORE_UNAVAILABLE', 'the store is away');

export interface RunningConsumer {
  readonly consumer: SourceConsumer;
  readonly settings: KafkaSettings;
  readonly fatal: WorkerError[];
  readonly assignments: (readonly TopicPartition[])[];
}

/** A consumer of its own group, stopped with the test. */
export function startConsumer(
  settings: KafkaSettings,
  topics: readonly string[],
  handler: RecordHandler,
  changes: Partial<SourceConsumerOptions> = {},
): RunningConsumer {
  const fatal: WorkerError[] = [];
  const assignments: (readonly TopicPartition[])[] = [];
  const consumer = new SourceConsumer({
    settings,
    topics,
    handler,
    concurrency: 8,
    logger: SILENT,
    onFatal: (error) => fatal.push(error),
    onAssignment: (partitions) => assignments.push(partitions),
    ...changes,
  });
  disposeLater(() => consumer.stop(0));
  consumer.start();
  return { consumer, settings, fatal, assignments };
}
