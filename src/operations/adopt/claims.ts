import type { Description } from '../../secrets-managers/port.js';

/** How a connection comes to claim a secret. */
export type ClaimKind =
  /** A kept event gives the secret's name as its own. */
  | 'refers'
  /** A kept event has a value for it. */
  | 'writes'
  /** A stored field of the connection has this id. */
  | 'has'
  /** The database says that the secret is this connection's. */
  | 'owns'
  /** A field of the connection names it as a user's reference. */
  | 'names';

/** One connection that claims one secret id. */
export interface Claimant {
  readonly connectionId: string;
  /** Null where only a row names it. */
  readonly name: string | null;
  readonly entityType: string | null;
  /** The field, as a JSON Pointer or as its identity. */
  readonly path: string | null;
  readonly kind: ClaimKind;
}

/** What the store says of a secret id; null: it has none. */
export type InStore = Pick<Description, 'ownedBy' | 'scheduledForDeletion'> | null;

export type ConflictReason = 'absent' | 'deleted' | 'owned' | 'several';

export type AdoptVerdict =
  | { readonly kind: 'adopt'; readonly connectionId: string }
  | { readonly kind: 'conflict'; readonly reason: ConflictReason };

/** What a conflict means, and what to do. */
export const CONFLICTS: Readonly<
  Record<ConflictReason, { readonly meaning: string; readonly remedy: string }>
> = {
  absent: {
    meaning: 'The store has no secret of this name.',
    remedy: 'Publish the entity with the value; then `dead-letters discard` the old event.',
  },
  deleted: {
    meaning: 'The secret is scheduled for deletion.',
    remedy: 'Restore it in the store and run `adopt` again, or publish the entity with the value.',
  },
  owned: {
    meaning: 'The secret carries the tags of another connection.',
    remedy: 'Rename the entity, or give it an external reference; never take the tags off by hand.',
  },
  several: {
    meaning: 'More than one connection claims the secret.',
    remedy:
      'Find out whose it is. Then run `adopt --choose SECRET_ID=CONNECTION_ID`, and rename the other entity or publish it with its value.',
  },
};

/**
 * Whose an existing secret is, seeing everybody who claims it. A guess would give one connection's password to another:
 * with two claimants nobody gets it unless a person has chosen one of them.
 *
 * @param chosen the connection that the operator named for this id; null: none
 */
export function judgeClaims(
  inStore: InStore,
  claimants: readonly Claimant[],
  chosen: string | null,
): AdoptVerdict {
  if (inStore === null) return { kind: 'conflict', reason: 'absent' };
  if (inStore.scheduledForDeletion) return { kind: 'conflict', reason: 'deleted' };
  if (inStore.ownedBy !== null) return { kind: 'conflict', reason: 'owned' };
  const ids = new Set(claimants.map(({ connectionId }) => connectionId));
  // A row that owns or names it would go on after the choice: that has to be settled first.
  const others = (id: string): boolean =>
    claimants.some(({ connectionId, kind }) => connectionId !== id && (kind === 'owns' || kind === 'names'));
  if (chosen !== null && ids.has(chosen) && !others(chosen)) return { kind: 'adopt', connectionId: chosen };
  const [only] = ids;
  if (ids.size === 1 && only !== undefined) return { kind: 'adopt', connectionId: only };
  return { kind: 'conflict', reason: 'several' };
}
