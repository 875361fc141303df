import { formatPointer } from '../catalog/json-pointer.js';
import type { Json } from '../terms.js';

/** A place in an entity, as the way to it. A path is only written out where it is asked for. */
export interface Step {
  readonly parent: Step | null;
  readonly segment: string | number;
}

/** Where two states of an entity differ; null: there is nothing. */
export interface Difference {
  readonly at: Step;
  readonly before: Json;
  readonly after: Json;
}

export function pathOfStep(step: Step): (string | number)[] {
  const path: (string | number)[] = [];
  for (let at: Step | null = step; at !== null; at = at.parent) path.push(at.segment);
  return path.reverse();
}

export function pointerOfStep(step: Step): string {
  return formatPointer(pathOfStep(step));
}

/**
 * The topmost places in which two states differ, in the order of the newer one: an object that only one of them has is
 * one difference. A member that is null and one that is not there are the same. One pass, in linear time.
 */
export function* differencesOf(before: Json, after: Json): Generator<Difference> {
  const stack: { at: Step | null; before: Json; after: Json }[] = [{ at: null, before, after }];
  for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
    const { at } = pair;
    if (at !== null && !isSameKind(pair.before, pair.after)) {
      if (pair.before !== pair.after) yield { at, before: pair.before, after: pair.after };
      continue;
    }
    const members = [...segmentsOf(pair.before, pair.after)].reverse();
    for (const segment of members) {
      const step = { parent: at, segment };
      stack.push({ at: step, before: memberOf(pair.before, segment), after: memberOf(pair.after, segment) });
    }
  }
}

/** Everything below a value that has nothing below it, and the value itself where it is such a one. */
export function* leavesOf(value: Json, at: Step): Generator<{ readonly at: Step; readonly value: Json }> {
  const stack: { at: Step; value: Json }[] = [{ at, value }];
  for (let leaf = stack.pop(); leaf !== undefined; leaf = stack.pop()) {
    if (typeof leaf.value !== 'object' || leaf.value === null) {
      if (leaf.value !== null) yield leaf;
      continue;
    }
    for (const segment of segmentsOf(null, leaf.value))
      stack.push({ at: { parent: leaf.at, segment }, value: memberOf(leaf.value, segment) });
  }
}

/** Both objects, or both arrays: what they differ in lies deeper. */
function isSameKind(before: Json, after: Json): boolean {
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null)
    return false;
  return Array.isArray(before) === Array.isArray(after);
}

function segmentsOf(before: Json, after: Json): Set<string | number> {
  return new Set([...ownSegments(after), ...ownSegments(before)]);
}

function ownSegments(value: Json): Iterable<string | number> {
  if (Array.isArray(value)) return value.keys();
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}

function memberOf(value: Json, segment: string | number): Json {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return null;
  return (Array.isArray(value) ? value[Number(segment)] : value[segment]) ?? null;
}
