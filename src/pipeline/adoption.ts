import { EventError } from '../errors.js';
import type { PlanContext } from './context.js';
import type { LockedState } from './ledger.js';

/** An entity by what its secret ids are made of. */
export interface NamedEntity {
  readonly kind: string;
  readonly name: string;
}

/** One decision of the command `adopt`: this connection gets this secret. */
export function adoptionGrant(connectionId: string, secretId: string): string {
  return `${connectionId} ${secretId}`;
}

/**
 * Why an event of this entity may not adopt a secret by its name; null: it may. With `SECRET_ADOPT=true` events decide by
 * the name alone; in a run of `adopt` only what it has granted counts, for it has looked at all claimants.
 */
export function adoptionProblem(
  { ids, rules }: Pick<PlanContext, 'ids' | 'rules'>,
  { namesakes, connection }: Pick<LockedState, 'namesakes' | 'connection'>,
  { kind, name }: NamedEntity,
  secretId: string,
): string | null {
  if (rules.grants !== null) {
    const isGranted = rules.grants.has(adoptionGrant(connection.id, secretId));
    return isGranted ? null : 'this run of `adopt` gives it to nobody, or to another connection';
  }
  const reason = ids.sharedNameReason(kind, name);
  if (reason !== null) return reason;
  const own = idsBegin(ids, { kind, name });
  const other = namesakes.find((one) => {
    const others = idsBegin(ids, one);
    // Not only the same: a name with a separator in it reaches into the ids of a shorter one.
    return others !== null && own !== null && (others.startsWith(own) || own.startsWith(others));
  });
  return other === undefined ? null : `connection ${other.connectionId} could mean the same ids`;
}

/** What all ids of an entity begin with; null: no id can be made of its name. */
function idsBegin(ids: PlanContext['ids'], { kind, name }: NamedEntity): string | null {
  try {
    return ids.build(kind, name, ['x']).slice(0, -1);
  } catch (error) {
    if (error instanceof EventError) return null;
    throw error;
  }
}
