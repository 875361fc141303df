import { WorkerError } from '../errors.js';
import type { Json, JsonObject } from '../terms.js';
import { formatPointer } from './json-pointer.js';

/** Keys and array positions from an entity down to one of its values. */
export type JsonPath = readonly (string | number)[];

/** The value at a path; undefined where there is none. Own members only, so `__proto__` is a key like any other. */
export function readAt(root: Json, path: JsonPath): Json | undefined {
  let at: Json | undefined = root;
  for (const segment of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, segment)) return undefined;
    at = Array.isArray(at) ? at[Number(segment)] : at[segment];
  }
  return at;
}

interface Replacement {
  readonly children: Map<string | number, Replacement>;
  value: { readonly json: Json } | null;
}

/**
 * A deep copy of an entity with the values at the given paths replaced, all at once. Everything else is equal, the
 * order of keys included; the original is not touched. In linear time, without recursion, safe for `__proto__` keys.
 *
 * @throws WorkerError `INTERNAL` naming a path that the entity does not have
 */
export function withValues(entity: JsonObject, values: Iterable<readonly [JsonPath, Json]>): JsonObject {
  const { plan, paths } = planOf(values);
  const root = emptyLike(entity);
  const stack: { from: Json[] | JsonObject; to: Json[] | JsonObject; plan: Replacement | null }[] = [
    { from: entity, to: root, plan },
  ];
  let replaced = 0;
  for (let frame = stack.pop(); frame !== undefined; frame = stack.pop()) {
    const { from, to } = frame;
    const copyMember = (key: string | number, member: Json, planned: Replacement | null): void => {
      if (planned !== null && planned.value !== null) {
        replaced += 1;
        setMember(to, key, planned.value.json);
      } else if (member !== null && typeof member === 'object') {
        const copy = emptyLike(member);
        setMember(to, key, copy);
        stack.push({ from: member, to: copy, plan: planned });
      } else {
        setMember(to, key, member);
      }
    };
    const planAt = (key: string | number): Replacement | null => frame.plan?.children.get(key) ?? null;
    if (Array.isArray(from)) {
      from.forEach((member, position) => {
        copyMember(position, member, planAt(position));
      });
    } else {
      for (const key of Object.keys(from)) copyMember(key, from[key] as Json, planAt(key));
    }
  }
  if (replaced !== paths.length) {
    const missing = paths.find((path) => readAt(entity, path) === undefined) ?? [];
    throw new WorkerError('INTERNAL', `A value to replace is not there: ${formatPointer(missing)}.`);
  }
  return root as JsonObject;
}

function planOf(values: Iterable<readonly [JsonPath, Json]>): { plan: Replacement; paths: JsonPath[] } {
  const plan: Replacement = { children: new Map(), value: null };
  const paths: JsonPath[] = [];
  for (const [path, json] of values) {
    let at = plan;
    for (const segment of path) {
      let next = at.children.get(segment);
      if (next === undefined) at.children.set(segment, (next = { children: new Map(), value: null }));
      at = next;
    }
    if (at === plan || at.value !== null) {
      throw new WorkerError(
        'INTERNAL',
        `A value is replaced twice, or is the whole: ${formatPointer(path)}.`,
      );
    }
    at.value = { json };
    paths.push(path);
  }
  return { plan, paths };
}

function emptyLike(value: Json[] | JsonObject): Json[] | JsonObject {
  if (Array.isArray(value)) return [];
  return Object.getPrototypeOf(value) === null ? (Object.create(null) as JsonObject) : {};
}

function setMember(target: Json[] | JsonObject, key: string | number, value: Json): void {
  if (Array.isArray(target)) target[Number(key)] = value;
  else if (key === '__proto__') {
    // Assigning would set the prototype instead of a member.
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
  } else target[key] = value;
}
