import type { StoredSecretRow } from '../database/rows.js';

/** Which name an event collides with, as its refusal says it: by these words it is found again when the name is free. */
export function collidedName({
  secretId,
  connectionId,
}: Pick<StoredSecretRow, 'secretId' | 'connectionId'>): string {
  return `the secret id ${secretId} of connection ${connectionId}`;
}

/** Who is in the way of a name that would be created, as the refusal says it: found again when that reference is gone. */
export function referredBy(connectionId: string): string {
  return `to which connection ${connectionId} refers`;
}
