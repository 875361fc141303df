export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
}

export const PARTITION_BACKOFF: BackoffOptions = { minMs: 100, maxMs: 30_000 };

/**
 * Exponential back-off with full jitter: between `minMs` and `minMs · 2^attempt`, at most `maxMs`.
 * Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 * @param attempt 1 for the first failure in a row
 * @param random in [0, 1)
 */
export function backoffMs(
  attempt: number,
  options: BackoffOptions = PARTITION_BACKOFF,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(options.maxMs, options.minMs * 2 ** Math.min(attempt, 30));
  return Math.round(options.minMs + random() * (ceiling - options.minMs));
}
