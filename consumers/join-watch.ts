import { WorkerError } from '../src/errors.js';
import { isAccessName, isUnreachable } from '../src/kafka/errors.js';
import type { KafkaSettings } from '../src/kafka/settings.js';

export interface JoinWatchOptions {
  /** Whether the consumer is a living member of its group. */
  readonly joined: () => boolean;
  /** Whether the broker's group coordinator is still starting, which is waited for. */
  readonly waiting: () => boolean;
  /** The name of what went wrong last, for the message. */
  readonly lastError: () => string | null;
  /** Resolves where a broker answers. */
  readonly probe: () => Promise<void>;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** Told again each time that it takes so long. */
  readonly onFatal: (error: WorkerError) => void;
}

/**
 * Join time-out, milliseconds: at least `leastMs`; members that are slow to come back are waited for, and
 * then a leader that has died meanwhile.
 */
export function joinTimeoutOf(
  { sessionTimeoutMs, rebalanceTimeoutMs }: Pick<KafkaSettings, 'sessionTimeoutMs' | 'rebalanceTimeoutMs'>,
  leastMs: number,
): number {
  return Math.max(leastMs, rebalanceTimeoutMs + sessionTimeoutMs);
}

/**
 * kafkajs can get stuck outside of its group without a word. This looks from outside: where the broker answers and
 * the consumer does not get into its group for `timeoutMs`, a new process is the better bet.
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
