import type { EachBatchPayload, KafkaMessage } from 'kafkajs';
import { WorkerError } from '../src/errors.js';
import { withoutText } from '../src/kafka/errors.js';
import { partitionKey } from '../src/kafka/partitions.js';
import type { PartitionKey, TopicPartition } from '../src/kafka/partitions.js';
import type { SourceRecord, Unread } from '../src/terms.js';
import { weightOf, type RecordSink } from '../src/transport.js';
import type { WakeUp, Limit } from './limit.js';
import { toSourceRecord } from './records.js';
import { Watermark } from './watermark.js';

/** A part of each partition, read once. The caller keeps the positions; no group's offsets are committed. */
export interface ReadRange {
  /** The next offset to read: everything before it is finished. */
  position(of: TopicPartition): number;
  /** The first offset that is not read; 0 if nothing of this partition is read. */
  end(of: TopicPartition): number;
  /** Reports that Kafka has no record between the position and this offset. */
  skipTo(of: TopicPartition, offset: number): void;
  /** Reports that everything before `position` is finished. Never goes back. */
  advance(of: TopicPartition, position: number): void;
}

export interface RunContext {
  readonly handler: RecordSink;
  readonly limit: Limit;
  /** Woken whenever a record of any partition finishes. */
  readonly wakeUp: WakeUp;
  /** If left out, the run commits the group's offsets. */
  readonly range?: ReadRange | undefined;
  /** As in `SourceConsumerOptions`. */
  readonly beforeCommit?: ((of: TopicPartition) => Promise<void>) | undefined;
  /** Called with an error that no retry cures. */
  readonly onFatal: (error: WorkerError) => void;
}

/**
 * Runs one batch of one partition through the handler. It may outlive kafkajs's call: slow records go on in the
 * background while their partition is paused and kafkajs reads the others.
 */
export class PartitionRun {
  readonly key: PartitionKey;
  readonly topic: string;
  readonly partition: number;
  /** Offset of the first record. While the position is still here, there is nothing to commit. */
  readonly startOffset: number;
  /** The first failure that is worth another attempt. The run begins no record after it. */
  failure: WorkerError | null = null;
  readonly #payload: EachBatchPayload;
  readonly #messages: readonly KafkaMessage[];
  /** Offset after the last record and after the gap behind it (compaction, transaction markers). */
  readonly #endOffset: number;
  readonly #context: RunContext;
  readonly #watermark: Watermark;
  readonly #abort = new AbortController();
  /** After a failure the run tries one record alone before it begins the others. */
  #alone: boolean;
  #committed: number;
  #lastCommit: Promise<void> = Promise.resolve();
  #next = 0;
  #inFlight = 0;
  #weightInFlight = 0;
  #counted = true;
  #broken = false;

  constructor(payload: EachBatchPayload, context: RunContext, afterFailure: boolean) {
    const { topic, partition, messages } = payload.batch;
    this.key = partitionKey(topic, partition);
    this.topic = topic;
    this.partition = partition;
    this.startOffset = Number(messages[0]?.offset ?? 0);
    this.#payload = payload;
    context.range?.skipTo({ topic, partition }, this.startOffset);
    const endOffset = context.range?.end({ topic, partition }) ?? Infinity;
    this.#messages = messages.filter(({ offset }) => Number(offset) < endOffset);
    this.#endOffset = Math.min(Number(payload.batch.lastOffset()) + 1, endOffset);
    this.#context = context;
    this.#watermark = new Watermark(this.startOffset);
    this.#committed = this.startOffset;
    this.#alone = afterFailure;
  }

  /** Everything before this offset is finished. */
  get position(): number {
    return this.#watermark.position;
  }

  /** The offset that this run has committed; {@link startOffset} before its first commit. */
  get committed(): number {
    return this.#committed;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether this run may still begin a record. */
  get hasMore(): boolean {
    return (
      this.#next < this.#messages.length &&
      this.failure === null &&
      !this.#broken &&
      !this.#abort.signal.aborted
    );
  }

  /** Begins as many records as the limit allows, in the order of their offsets, without awaiting any. */
  begin(): void {
    for (let message = this.#nextMessage; message !== undefined; message = this.#nextMessage) {
      const weight = weightOf(message.value);
      if (!this.#take(weight)) return;
      this.#begin(message, weight);
    }
  }

  /** Aborts the records in flight and ignores their results: the partition went away, or is read from another offset. */
  abort(): void {
    this.#abort.abort();
  }

  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  /** This run begins no more records. The places of its records in flight go to the other runs. */
  moveToBackground(): void {
    if (!this.#counted) return;
    this.#counted = false;
    this.#context.limit.release(this.#weightInFlight);
    this.#context.wakeUp.wake();
  }

  /** Tells kafkajs where to read on. If nothing is finished, kafkajs reads the same offset again. */
  resolve(): void {
    if (this.position > this.startOffset) this.#payload.resolveOffset(String(this.position - 1));
  }

  /** Commits the position. Commits of one run never overlap. */
  async commit(): Promise<void> {
    const attempt = this.#lastCommit.then(async () => this.#commitOnce());
    this.#lastCommit = attempt.catch(() => undefined);
    await attempt;
  }

  async #commitOnce(): Promise<void> {
    const { position, topic, partition } = this;
    if (position <= this.#committed) return;
    const { range } = this.#context;
    if (range !== undefined) {
      range.advance({ topic, partition }, position);
      this.#committed = position;
      return;
    }
    await this.#context.beforeCommit?.({ topic, partition });
    // In the meantime another member may have got the partition, or it is read from another offset.
    if (this.aborted) return;
    const partitions = [{ partition, offset: String(position) }];
    // Not `consumer.commitOffsets`: it silently does nothing once the consumer is stopping.
    await this.#payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
    this.#committed = position;
  }

  get #nextMessage(): KafkaMessage | undefined {
    return this.hasMore ? this.#messages[this.#next] : undefined;
  }

  #take(weight: number): boolean {
    if (this.#alone && this.#inFlight > 0) return false;
    if (this.#context.limit.tryTake(weight)) return true;
    if (this.#inFlight > 0) return false;
    this.#context.limit.takeBeyond(weight);
    return true;
  }

  #begin(message: KafkaMessage, weight: number): void {
    this.#next += 1;
    this.#inFlight += 1;
    this.#weightInFlight += weight;
    const record = toSourceRecord(this.topic, this.partition, message);
    this.#watermark.begin(record.offset);
    if (this.#next === this.#messages.length) this.#watermark.end(this.#endOffset);
    const handled = (async () => {
      if (record.unread?.reason === 'damaged') throw damaged(record, record.unread);
      await this.#context.handler.handle(record, this.#abort.signal);
    })();
    void handled
      .then(
        () => this.#succeeded(record.offset),
        (error: unknown) => this.#failed(error, record.offset),
      )
      .finally(() => {
        this.#inFlight -= 1;
        this.#weightInFlight -= weight;
        if (this.#counted) this.#context.limit.release(weight);
        this.#context.wakeUp.wake();
      });
  }

  #succeeded(offset: number): void {
    this.#watermark.complete(offset);
    this.#alone = false;
  }

  #failed(error: unknown, offset: number): void {
    if (this.#abort.signal.aborted) return;
    if (error instanceof WorkerError && error.retryable) {
      this.failure ??= error;
      return;
    }
    this.#broken = true;
    this.#context.onFatal(error instanceof WorkerError ? error : this.#defect(error, offset));
  }

  #defect(error: unknown, offset: number): WorkerError {
    const cause = withoutText(error);
    const message = `handling offset ${offset} of ${this.topic}/${this.partition} failed: ${cause.message}`;
    return new WorkerError('INTERNAL', message, { cause });
  }
}

/** We never skip a damaged batch: another replica may have it intact. Kafka's operator decides. */
function damaged({ topic, partition, offset }: SourceRecord, { firstOffset }: Unread): WorkerError {
  return new WorkerError(
    'BATCH_DAMAGED',
    `the batch of ${topic}/${partition} with the offsets ${firstOffset} to ${offset} cannot be decompressed`,
  );
}
