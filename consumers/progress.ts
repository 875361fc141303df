import type { Logger } from 'pino';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName } from '../src/kafka/errors.js';
import { Watermark } from './watermark.js';

/** How far one assigned partition is read, handled and committed. Each join begins with new ones. */
export class Progress {
  readonly topic: string;
  readonly partition: number;
  readonly #watermark: Watermark;
  #lastRead: number;
  #committed: number;
  #open = 0;
  /** Offset after the last record that existed when we got the partition; null if not asked for, or read to its end. */
  backlogEnd: number | null = null;

  /** @param start offset of the first record that was read */
  constructor(topic: string, partition: number, start: number) {
    this.topic = topic;
    this.partition = partition;
    this.#watermark = new Watermark(start);
    this.#lastRead = start - 1;
    this.#committed = start;
  }

  /** Records that are read and not yet handled. */
  get open(): number {
    return this.#open;
  }

  get lastRead(): number {
    return this.#lastRead;
  }

  /** Whether records that existed when we got the partition are still to be read. */
  get isInBacklog(): boolean {
    return this.backlogEnd !== null && this.#lastRead + 1 < this.backlogEnd;
  }

  isRead(offset: number): boolean {
    return offset <= this.#lastRead;
  }

  /** @returns a callback: call it once, when the record is handled */
  begin(offset: number, changed: () => void): () => void {
    this.#watermark.begin(offset);
    this.#lastRead = offset;
    this.#open += 1;
    return () => {
      this.#open -= 1;
      this.#watermark.complete(offset);
      changed();
    };
  }

  /** No record follows up to this offset, exclusive. */
  end(nextOffset: number): void {
    this.#watermark.end(nextOffset);
  }

  /** The offset to commit; null if it is committed already. */
  get toCommit(): number | null {
    const { position } = this.#watermark;
    return position > this.#committed ? position : null;
  }

  committed(offset: number): void {
    this.#committed = Math.max(this.#committed, offset);
  }
}

/** A partition's offset, as kafkajs wants it. */
interface PartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

interface OffsetCommitsOptions {
  /** The partitions that this process has now. */
  readonly owned: () => readonly Progress[];
  /** Null while there is no connection. */
  readonly commit: (offsets: PartitionOffset[]) => Promise<void> | null;
  readonly logger: Logger;
}

const COMMIT_MS = 5_000;
const COMMIT_AGAIN_MS = 1_000;

/** Commits offsets, one request at a time. A request covers everything that finished before it. */
export class OffsetCommits {
  readonly #options: OffsetCommitsOptions;
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: OffsetCommitsOptions) {
    this.#options = options;
  }

  /** To be called when a record is handled. */
  schedule(): void {
    if (this.#running !== null || this.#timer !== null || this.#closed) return;
    this.#running = this.#run();
  }

  /** Commits what is left, and nothing more after it. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
    await this.#commit();
  }

  async #run(): Promise<void> {
    // Records that finish in the same turn of the event loop go into one request.
    await Promise.resolve();
    const isCommitted = await this.#commit();
    this.#running = null;
    if (!isCommitted) this.#tryLater();
    else if (this.#ready().length > 0) this.schedule();
  }

  #tryLater(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.schedule();
    }, COMMIT_AGAIN_MS);
  }

  #ready(): { progress: Progress; position: number }[] {
    return this.#options.owned().flatMap((progress) => {
      const position = progress.toCommit;
      return position === null ? [] : [{ progress, position }];
    });
  }

  /** @returns false if it has to be tried again. A commit that loses a race with a rebalance is harmless */
  async #commit(): Promise<boolean> {
    const ready = this.#ready();
    if (ready.length === 0) return true;
    const offsets = ready.map(({ progress: { topic, partition }, position }) => ({
      topic,
      partition,
      offset: String(position),
    }));
    const sent = this.#options.commit(offsets);
    if (sent === null) return true;
    try {
      await withDeadline(sent, COMMIT_MS);
      for (const { progress, position } of ready) progress.committed(position);
      return true;
    } catch (error) {
      const fields = { error: brokerErrorName(error) };
      this.#options.logger.debug(fields, 'the offsets were not committed: a later commit covers them');
      return false;
    }
  }
}
