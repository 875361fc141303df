/** What one process has of the writes to a store, as the others of its database see it. Rates are writes per second. */
export interface WriteShare {
  readonly process: string;
  /** What it is configured to (`SECRET_MANAGER_WRITES_PER_SECOND`). */
  readonly limit: number;
  /** What it has use for at present. */
  readonly wanted: number;
  readonly granted: number;
  /** By the database's clock, milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

export interface Take {
  /** All that hold a share now, this process among them. */
  readonly shares: readonly WriteShare[];
  readonly granted: number;
  /** What it would have if the others had given up what is too much already. */
  readonly fair: number;
  /** Nobody else holds a share. */
  readonly isAlone: boolean;
}

/**
 * Max-min fair: nobody gets more than he wants, and what he leaves is shared by the others in equal parts.
 *
 * @returns in the order of `wanted`
 */
export function fairShares(quota: number, wanted: readonly number[]): number[] {
  const fair = wanted.map(() => 0);
  let left = quota;
  const ascending = [...wanted.entries()].sort(([, a], [, b]) => a - b);
  for (const [place, [index, rate]] of ascending.entries()) {
    const share = Math.min(rate, left / (ascending.length - place));
    fair[index] = share;
    left -= share;
  }
  return fair;
}

/**
 * A process takes its fair share, but never more than what the others have left: the sum of what is granted stays within
 * the quota at any moment. A process that holds too much gives it up at its next heartbeat, or when its share expires.
 *
 * Where processes are configured to different limits, the quota is the largest, and nobody takes more than its own.
 */
export function takeShare(
  known: readonly WriteShare[],
  own: Pick<WriteShare, 'process' | 'limit' | 'wanted'>,
  { nowMs, leaseMs }: { readonly nowMs: number; readonly leaseMs: number },
): Take {
  const expiresAtMs = nowMs + leaseMs;
  // One that lasts longer than a lease is from before the clock was set back.
  const others = known.filter(
    (share) => share.process !== own.process && share.expiresAtMs > nowMs && share.expiresAtMs <= expiresAtMs,
  );
  const all = [own, ...others];
  const quota = Math.max(...all.map(({ limit }) => limit));
  const shares = fairShares(
    quota,
    all.map(({ limit, wanted }) => Math.min(limit, wanted)),
  );
  // What is left over is shared out too, so that a process can write more at once without asking first.
  const spare = Math.max(0, quota - sum(shares)) / all.length;
  const fair = Math.min(own.limit, (shares[0] ?? 0) + spare);
  const free = quota - sum(others.map(({ granted }) => granted));
  const granted = Math.max(0, Math.min(fair, free));
  return {
    shares: [...others, { ...own, granted, expiresAtMs }],
    granted,
    fair,
    isAlone: others.length === 0,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
