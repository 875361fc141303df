import type { Logger } from 'pino';
import { errorLabel, safeError } from './safe-error.js';

const DEFAULT_EVERY_MS = 60_000;

interface Repeated {
  count: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Repeated failures without a flood: the first of its kind (what failed, and its code) is logged at once, what follows
 * as one line a minute with the count.
 */
export class FailureLog {
  readonly #logger: Logger;
  readonly #everyMs: number;
  readonly #repeated = new Map<string, Repeated>();

  constructor(logger: Logger, everyMs: number = DEFAULT_EVERY_MS) {
    this.#logger = logger;
    this.#everyMs = everyMs;
  }

  /**
   * @param what what failed, as words: part of the kind, so of few values
   * @param fields of the first one's line: ids and counts
   */
  failed(what: string, error: unknown, fields: Readonly<Record<string, string | number>> = {}): void {
    const code = errorLabel(error);
    const key = `${what}\n${code}`;
    const known = this.#repeated.get(key);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    this.#logger.warn({ ...fields, code, error: safeError(error) }, what);
    this.#watch(key, what, code);
  }

  /** Writes what is counted and not told yet. */
  close(): void {
    for (const [key, { count, timer }] of this.#repeated) {
      clearTimeout(timer);
      this.#summarise(key, count);
    }
    this.#repeated.clear();
  }

  #watch(key: string, what: string, code: string): void {
    const timer = setTimeout(() => {
      const count = this.#repeated.get(key)?.count ?? 0;
      this.#repeated.delete(key);
      if (count === 0) return;
      this.#summarise(key, count);
      this.#watch(key, what, code);
    }, this.#everyMs);
    timer.unref();
    this.#repeated.set(key, { count: 0, timer });
  }

  #summarise(key: string, count: number): void {
    if (count === 0) return;
    const [what = '', code = ''] = key.split('\n');
    this.#logger.warn({ code, count, withinMs: this.#everyMs }, `${what}, again`);
  }
}
