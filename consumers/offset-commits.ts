import type { Logger } from 'pino';
import { withDeadline } from '../src/kafka/deadline.js';
import { brokerErrorName } from '../src/kafka/errors.js';
import type { Progress } from './progress.js';

/** A partition's offset, as kafkajs wants it. */
interface PartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

export interface OffsetCommitsOptions {
  /** The partitions that are ours now. */
  readonly owned: () => readonly Progress[];
  /** Null: there is no connection. */
  readonly commit: (offsets: PartitionOffset[]) => Promise<void> | null;
  readonly logger: Logger;
}

const COMMIT_MS = 5_000;
const COMMIT_AGAIN_MS = 1_000;

/** Commits what is done: one request at a time, of everything that finished meanwhile. */
export class OffsetCommits {
  readonly #options: OffsetCommitsOptions;
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: OffsetCommitsOptions) {
    this.#options = options;
  }

  /** Something is done. */
  schedule(): void {
    if (this.#running !== null || this.#timer !== null || this.#closed) return;
    this.#running = this.#run();
  }

  /** Commits what is left; nothing more after it. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
    await this.#commit();
  }

  async #run(): Promise<void> {
    // What finishes in the same turn goes along.
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

  /** @returns whether nothing is left that has to be tried again. Losing the race with a rebalance is nothing bad */
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
      this.#options.logger.debug(fields, 'offsets not committed: a later commit covers them');
      return false;
    }
  }
}
