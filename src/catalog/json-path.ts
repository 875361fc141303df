import { WorkerError } from '../errors.js';
import type { Json, JsonObject } from '../terms.js';

/**
 * Writes a path of keys and array positions as a JSON Pointer (RFC 6901), by which secured events, errors and logs name a
 * place in an entity. The empty path is the empty string, which means the whole document.
 */
export function formatPointer(path: readonly (string | number)[]): string {
  return path.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Reads a JSON Pointer into its keys; array positions stay text. Null if the text is not a pointer (RFC 6901 §3). */
export function parsePointer(pointer: string): string[] | null {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return null;
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replace(/~1/g, '/').replace(/~0/g, '~'));
}

/** The segment of a catalogue path that stands for any key of a map. */
export const ANY_KEY: unique symbol = Symbol('any key');

export type PathSegment = string | typeof ANY_KEY;

/**
 * Reads a catalogue path into its segments. The path has dots between its keys, as in OpenMetadata's documentation. `[]`
 * behind a key means "each element of the array", `*` means "any key", and a backslash before a sign makes it part of the
 * key: `schemaRegistryConfig.basic\.auth\.user\.info`. The segments leave out `[]`, because the finder enters every array.
 * Null if the text is not a path: it is empty, has an empty segment, or ends in a backslash.
 */
export function parsePath(text: string): PathSegment[] | null {
  const segments: PathSegment[] = [];
  for (const raw of splitAtDots(text)) {
    const key = raw.replace(/(?:\[\])+$/, '');
    if (key === '' || /(?<!\\)(?:\\\\)*\\$/.test(key)) return null;
    segments.push(key === '*' ? ANY_KEY : key.replace(/\\(.)/gsu, '$1'));
  }
  return segments;
}

/** Writes one key so that {@link parsePath} reads the same key. */
export function escapeKey(key: string): string {
  return key.replace(/[.\\[\]*]/g, '\\$&');
}

function splitAtDots(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '.') {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** Keys and array positions from an entity down to one of its values. */
export type JsonPath = readonly (string | number)[];

/** The value at a path; undefined if there is none. Reads own members only, so `__proto__` is a key like any other. */
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
 * A deep copy of an entity with the values at the given paths replaced. Everything else is equal, the order of keys
 * included, and the original stays as it is. Takes linear time, no recursion, and copies `__proto__` keys like any other.
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
        `Cannot replace a value twice, or the whole entity: ${formatPointer(path)}.`,
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
