import { meaningOfKey } from '../catalog/key-names.js';
import { isSafeError, safeError } from './safe-error.js';

const HIDDEN = '[hidden]';
const MAX_TEXT = 1_000;
const MAX_ELEMENTS = 100;
const MAX_DEPTH = 2;

type Shown = null | boolean | number | string | Shown[] | { [key: string]: Shown };

/**
 * The fields of a log line, made harmless: whatever object gets there by accident, no value comes out. Numbers and
 * flags are shown, texts only at the top and under keys that do not name a secret, errors as {@link safeError}; texts
 * deeper inside of an object (an event, a row, a request) are hidden, instances of classes are named.
 */
export function safeFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, show(key, value, 0)]));
}

function show(key: string, value: unknown, depth: number): Shown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
      return value;
    case 'string':
      return depth === 0 && meaningOfKey(key) === 'plain' ? value.slice(0, MAX_TEXT) : HIDDEN;
    case 'object':
      return value === null ? null : showObject(key, value, depth);
    case 'undefined':
      return null;
    default:
      return `[${typeof value}]`;
  }
}

function showObject(key: string, value: object, depth: number): Shown {
  if (value instanceof Error) return { ...safeError(value) } as Shown;
  if (isSafeError(value)) return { ...value } as Shown;
  if (Array.isArray(value)) {
    if (meaningOfKey(key) !== 'plain') return HIDDEN;
    return value
      .slice(0, MAX_ELEMENTS)
      .map((element: unknown) => show(key, element, Array.isArray(element) ? MAX_DEPTH : depth));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return '[object]';
  if (depth >= MAX_DEPTH) return '[object]';
  return Object.fromEntries(
    Object.entries(value).map(([member, inner]) => [member, show(member, inner, depth + 1)]),
  );
}
