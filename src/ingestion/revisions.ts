import type { SecuredEvent } from '../terms.js';

/** Which state of a connection a secured event carries. */
export type Revision = Pick<SecuredEvent, 'generation' | 'revision'>;

/** Whether `event` is a newer state than `known`: by generation, then by revision. */
export function isNewer(event: Revision, known: Revision): boolean {
  if (event.generation !== known.generation) return event.generation > known.generation;
  return event.revision > known.revision;
}

export function isSame(left: Revision, right: Revision): boolean {
  return left.generation === right.generation && left.revision === right.revision;
}
