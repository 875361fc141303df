import type { StoredSecretRow } from '../database/rows.js';

/** Names the taken secret id in a refusal. `applyChanges` searches for these words when the id becomes free. */
export function collidedName({
  secretId,
  connectionId,
}: Pick<StoredSecretRow, 'secretId' | 'connectionId'>): string {
  return `the secret id ${secretId} of connection ${connectionId}`;
}

/** Names the referring connection in a refusal. `applyChanges` searches for these words when its reference is gone. */
export function referredBy(connectionId: string): string {
  return `to which connection ${connectionId} refers`;
}
