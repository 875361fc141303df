import type { Description } from '../../secrets-managers/port.js';

/** Why a connection claims a secret. A kept event is one that waits or is a dead letter. */
export type ClaimKind =
  /** A kept event names the secret by a reference, and it is the field's own id. */
  | 'refers'
  /** A kept event has a value, or a mask, for the field with this id. */
  | 'writes'
  /** A stored field of the connection has this id. */
  | 'has'
  /** The database says that the connection owns the secret. */
  | 'owns'
  /** A field of the connection names it as a user's reference. */
  | 'names';

/** One connection that claims one secret id. */
export interface Claimant {
  readonly connectionId: string;
  /** Null for `owns` and `names`, and so is the entity type: these come from rows without either. */
  readonly name: string | null;
  readonly entityType: string | null;
  /** The field, as a JSON Pointer into the entity or as its identity over time; null for `owns`. */
  readonly path: string | null;
  readonly kind: ClaimKind;
}

/** What the store says of a secret id; null: it has no secret of this id. */
export type InStore = Pick<Description, 'ownedBy' | 'scheduledForDeletion'> | null;

type ConflictReason = 'absent' | 'deleted' | 'owned' | 'several';

export type AdoptVerdict =
  | { readonly kind: 'adopt'; readonly connectionId: string }
  | { readonly kind: 'conflict'; readonly reason: ConflictReason };

/** What a conflict means, and what to do. */
export const CONFLICTS: Readonly<
  Record<ConflictReason, { readonly meaning: string; readonly remedy: string }>
> = {
  absent: {
    meaning: 'The store has no secret of this name.',
    remedy: 'Publish the entity with the value. Then discard the old event with `dead-letters discard`.',
  },
  deleted: {
    meaning: 'The secret is scheduled for deletion.',
    remedy: 'Restore it in the store and run `adopt` again, or publish the entity with the value.',
  },
  owned: {
    meaning: 'The secret carries the tags of another connection.',
    remedy: 'Rename the entity, or give it an external reference. Never remove the tags by hand.',
  },
  several: {
    meaning: 'More than one connection claims the secret.',
    remedy:
      'Find out which connection it belongs to. Then run `adopt --choose SECRET_ID=CONNECTION_ID`, and rename the other entity or publish it with its value.',
  },
};

/**
 * Decides which connection gets an existing secret. A wrong guess would give one connection's password to another. So if
 * several connections claim the secret, none gets it unless a person has chosen one of them.
 *
 * @param chosen the connection that the operator chose for this id; null: none
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
  // A choice does not change another connection's row that owns or names the secret. Somebody must settle that first.
  const others = (id: string): boolean =>
    claimants.some(({ connectionId, kind }) => connectionId !== id && (kind === 'owns' || kind === 'names'));
  if (chosen !== null && ids.has(chosen) && !others(chosen)) return { kind: 'adopt', connectionId: chosen };
  const [only] = ids;
  if (ids.size === 1 && only !== undefined) return { kind: 'adopt', connectionId: only };
  return { kind: 'conflict', reason: 'several' };
}
