import { WorkerError } from '../src/errors.js';
import { isAccessName, isUnreachable } from '../src/kafka/errors.js';
import type { KafkaSettings } from '../src/kafka/settings.js';

export interface JoinWatchOptions {
  /** Whether the consumer is in its group and fetches. */
  readonly joined: () => boolean;
  /** Whether the group coordinator is still starting: that time does not count. */
  readonly waiting: () => boolean;
  /** Kafka's name of the last error, for the message. */
  readonly lastError: () => string | null;
  /** Resolves if a broker answers. */
  readonly probe: () => Promise<void>;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** Called each time that `timeoutMs` pass without a join. */
  readonly onFatal: (error: WorkerError) => void;
}

/**
 * Join time-out in milliseconds, at least `leastMs`: the broker may wait first for slow members (rebalance time-out)
 * and then for a leader that has died meanwhile (session time-out).
 */
export function joinTimeoutOf(
  { sessionTimeoutMs, rebalanceTimeoutMs }: Pick<KafkaSettings, 'sessionTimeoutMs' | 'rebalanceTimeoutMs'>,
  leastMs: number,
): number {
  return Math.max(leastMs, rebalanceTimeoutMs + sessionTimeoutMs);
}

/**
 * kafkajs can get stuck outside of its group without any error. This watch notices it: if a broker answers but the
 * consumer does not join its group for `timeoutMs`, it calls `onFatal`.
 */
export class JoinWatch {
  readonly #options: JoinWatchOptions;
  #timer: NodeJS.Timeout | null = null;
  #outSinceMs: number | null = null;
  #stopped = false;

  constructor(options: JoinWatchOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.start());
    }, this.#options.intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { joined, waiting, timeoutMs, onFatal } = this.#options;
    if (joined() || waiting() || !(await this.#answers())) {
      this.#outSinceMs = null;
      return;
    }
    this.#outSinceMs ??= performance.now();
    if (this.#stopped || joined() || performance.now() - this.#outSinceMs < timeoutMs) return;
    this.#outSinceMs = null;
    const seconds = Math.round(timeoutMs / 1_000);
    const last = this.#options.lastError() ?? 'no error was reported';
    const code = isAccessName(last) ? 'BROKER_ACCESS' : 'INTERNAL';
    const message = `the broker answers, but the group could not be joined for ${seconds} s (${last})`;
    onFatal(new WorkerError(code, message));
  }

  async #answers(): Promise<boolean> {
    try {
      await this.#options.probe();
      return true;
    } catch (error) {
      return !isUnreachable(error);
    }
  }
}
