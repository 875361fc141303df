import { openVault } from './store.js';

/** As the key ring of `src/fernet` has it. */
export interface RotatingKeys {
  /** Seals anew under the first key, keeping the token's time. */
  rotate(token: string): string;
  /** Index of the key that made a token; null: none of the list did. */
  indexOf(token: string): number | null;
}

export interface VaultRotation {
  readonly file: string;
  readonly keys: RotatingKeys;
  readonly busyTimeoutMs: number;
  /** Versions per transaction. */
  readonly batchSize: number;
  /** The position an earlier, interrupted rotation reached; 0 begins. */
  readonly after: number;
  /** Called after each durable batch. */
  readonly onBatch: (batch: VaultBatch) => void | Promise<void>;
  readonly signal: AbortSignal;
  /** Only looks: changes nothing. */
  readonly dryRun?: boolean;
}

/** What became of the versions of one batch: sealed anew, under the first key already, or opened by no key of the list. */
export interface VaultBatch {
  readonly position: number;
  readonly rotated: number;
  readonly current: number;
  readonly unknown: number;
}

/** How many versions {@link rotateVault} goes through from a position on. */
export function countVaultVersions({
  file,
  busyTimeoutMs,
  after,
}: Pick<VaultRotation, 'file' | 'busyTimeoutMs' | 'after'>): number {
  const vault = openVault(file, busyTimeoutMs);
  try {
    return vault.countVersionsAfter(after);
  } finally {
    vault.close();
  }
}

/**
 * Seals every version in a vault anew under the first key, in batches, each a transaction of its own. Safe to repeat and
 * beside a working store: rows are changed one by one, under the write lock. What no key opens stays as it is.
 *
 * @returns the position reached: the end, or where the signal stopped it
 */
export async function rotateVault(rotation: VaultRotation): Promise<number> {
  const { keys, batchSize, dryRun = false } = rotation;
  const vault = openVault(rotation.file, rotation.busyTimeoutMs);
  let position = rotation.after;
  try {
    while (!rotation.signal.aborted) {
      const batch = vault.write(() => {
        const counts = { rotated: 0, current: 0, unknown: 0 };
        const versions = vault.versionsAfter(position, batchSize);
        for (const { version, sealed } of versions) {
          const index = keys.indexOf(sealed);
          if (index === null) counts.unknown += 1;
          else if (index === 0) counts.current += 1;
          else {
            if (!dryRun) vault.reseal(version, keys.rotate(sealed));
            counts.rotated += 1;
          }
        }
        const last = versions.at(-1);
        return last === undefined ? null : { position: last.version, ...counts };
      });
      if (batch === null) return position;
      position = batch.position;
      await rotation.onBatch(batch);
      // Each batch blocks the thread: let others have a turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return position;
  } finally {
    vault.close();
  }
}
