import type { Json } from '../terms.js';
import { holdsSecret, isStandIn } from './secret-text.js';

/**
 * The keys that tell an array's elements apart: their `name`s, cleaned and lower-cased, where every
 * element has one, they are unique, none looks like a position and none carries a secret (the key becomes part of a
 * secret id). Null: the elements are told apart by position only.
 *
 * @param cleanSegment how the store's secret ids write one segment
 */
export function arrayKeys(
  elements: readonly Json[],
  cleanSegment: (text: string) => string,
): readonly string[] | null {
  const keys: string[] = [];
  const seen = new Set<string>();
  for (const element of elements) {
    const key = nameOf(element, cleanSegment);
    if (key === null || seen.has(key)) return null;
    seen.add(key);
    keys.push(key);
  }
  return keys;
}

/** Separators of secret ids only: no segment of an id would be left of such a name. */
const LEAVES_NOTHING = /^[/-]*$/;

function nameOf(element: Json, cleanSegment: (text: string) => string): string | null {
  if (element === null || typeof element !== 'object' || Array.isArray(element)) return null;
  const name = Object.hasOwn(element, 'name') ? element['name'] : undefined;
  if (typeof name !== 'string' || isStandIn(name) || holdsSecret(name)) return null;
  const key = cleanSegment(name).toLowerCase();
  return LEAVES_NOTHING.test(key) || /^\d+$/.test(key) ? null : key;
}
