import { failure, type StoreResult } from '../secrets-managers/port.js';
import type { SecretValue } from '../secret-value.js';

type StoredReference = `secret:${string}`;
type Result = StoreResult<SecretValue>;

export interface BatchReadsOptions {
  /** Reads many at once, in the store's own batches. */
  readonly get: (references: readonly StoredReference[], signal: AbortSignal) => Promise<Result[]>;
  readonly requestTimeoutMs: number;
  readonly close: () => Promise<void>;
}

interface Wanted {
  readonly reference: StoredReference;
  readonly settle: (result: Result) => void;
}

/** The most references of one round: so callers learn of an outage within a bounded time. */
const LARGEST_ROUND = 400;
const SMALLEST_BATCH = 10;

/**
 * Collects what callers ask for at the same time into one call of the store, which cuts it into its own batches (20 names
 * a request in Secrets Manager, 10 in SSM).
 */
export class BatchReads {
  readonly #options: BatchReadsOptions;
  #wanted: Wanted[] = [];
  #isScheduled = false;

  constructor(options: BatchReadsOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  read(reference: StoredReference): Promise<Result> {
    return new Promise((settle) => {
      this.#wanted.push({ reference, settle });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      // Waits for all other callers of this turn of the event loop.
      setImmediate(() => {
        this.#isScheduled = false;
        const round = this.#wanted;
        this.#wanted = [];
        for (let at = 0; at < round.length; at += LARGEST_ROUND) {
          void this.#ask(round.slice(at, at + LARGEST_ROUND));
        }
      });
    });
  }

  async close(): Promise<void> {
    await this.#options.close();
  }

  async #ask(round: readonly Wanted[]): Promise<void> {
    const references = [...new Set(round.map(({ reference }) => reference))];
    const answers = new Map<StoredReference, Result>();
    try {
      const results = await this.#options.get(references, AbortSignal.timeout(this.#timeoutMs(references)));
      references.forEach((reference, index) => {
        const result = results[index];
        if (result !== undefined) answers.set(reference, result);
      });
    } catch {
      // The error of a reader may quote what it was given, so it is not passed on.
    }
    const noAnswer = failure('transient', 'the store gave no answer');
    for (const { reference, settle } of round) settle(answers.get(reference) ?? noAnswer);
  }

  #timeoutMs(references: readonly unknown[]): number {
    return this.#options.requestTimeoutMs * (2 + Math.ceil(references.length / SMALLEST_BATCH));
  }
}
