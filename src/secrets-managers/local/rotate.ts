import { openVault } from './store.js';

/** As the key ring of `src/fernet` has it: seals anew under the first key, keeping the token's time. */
export interface RotatingKeys {
  rotate(token: string): string;
}

export interface VaultRotation {
  readonly file: string;
  readonly keys: RotatingKeys;
  readonly busyTimeoutMs: number;
  /** Versions per transaction. */
  readonly batchSize: number;
  /** The position an earlier, interrupted rotation reached; 0 begins. */
  readonly after: number;
  /** Called after each durable batch with the position reached and the count of versions in it. */
  readonly onBatch: (position: number, versions: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Seals every version in a vault anew under the first key, in batches, each a transaction of its own. Safe to repeat and
 * beside a working store: rows are changed one by one, under the write lock.
 *
 * @returns the position reached: the end, or where the signal stopped it
 */
export async function rotateVault(rotation: VaultRotation): Promise<number> {
  const vault = openVault(rotation.file, rotation.busyTimeoutMs);
  let position = rotation.after;
  try {
    while (!rotation.signal.aborted) {
      const batch = vault.write(() => {
        const versions = vault.versionsAfter(position, rotation.batchSize);
        for (const { version, sealed } of versions) vault.reseal(version, rotation.keys.rotate(sealed));
        return versions;
      });
      const last = batch.at(-1);
      if (last === undefined) return position;
      position = last.version;
      rotation.onBatch(position, batch.length);
      // Each batch blocks the thread: let others have a turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return position;
  } finally {
    vault.close();
  }
}
