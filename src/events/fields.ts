import { EventError } from '../errors.js';
import type { Json, JsonObject } from '../terms.js';
import { pointer } from './pointer.js';

/** Limits on what names an event, a connection or a person; in characters. */
export const MAX_ID_CHARACTERS = 255;
export const MAX_NAME_CHARACTERS = 512;
export const MAX_QUALIFIED_NAME_CHARACTERS = 3072;

const CONNECTION_ID = /^[\x21-\x7e]{1,255}$/;

/** Whether a text can be a connection id: 1 to 255 printable ASCII characters without spaces. */
export function isConnectionId(value: unknown): value is string {
  return typeof value === 'string' && CONNECTION_ID.test(value);
}

/** The record key as text where it can be a connection id, else null (binary, empty, over-long keys). */
export function keyText(key: Buffer | null): string | null {
  if (key === null || key.length > MAX_ID_CHARACTERS) return null;
  const text = key.toString('latin1');
  return isConnectionId(text) ? text : null;
}

/** An own member; absent and null are the same. */
export function member(object: JsonObject, name: string): Exclude<Json, null> | null {
  return Object.hasOwn(object, name) ? (object[name] ?? null) : null;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws EventError `EVENT_INVALID`, naming the member and what it has to be */
export function invalid(at: string, expected: string): EventError {
  return new EventError('EVENT_INVALID', `${at} ${expected}`, at);
}

/**
 * A text member, or null where it is absent.
 *
 * @throws EventError `EVENT_INVALID`: not a string, empty, longer than `maxCharacters`, or with a NUL character
 */
export function optionalText(
  object: JsonObject,
  name: string,
  base: string,
  maxCharacters: number,
): string | null {
  const value = member(object, name);
  if (value === null) return null;
  const at = pointer(base, name);
  if (typeof value !== 'string') throw invalid(at, 'must be a string');
  if (value === '') throw invalid(at, 'must not be empty');
  if (value.length > maxCharacters)
    throw invalid(at, `must not be longer than ${String(maxCharacters)} characters`);
  if (value.includes('\0')) throw invalid(at, 'must not contain a NUL character');
  return value;
}

/** @throws EventError `EVENT_INVALID`: absent, or as `optionalText` */
export function requiredText(object: JsonObject, name: string, base: string, maxCharacters: number): string {
  const value = optionalText(object, name, base, maxCharacters);
  if (value === null) throw invalid(pointer(base, name), 'is missing');
  return value;
}

/** @throws EventError `EVENT_INVALID`: neither absent nor a connection id */
export function optionalConnectionId(object: JsonObject, name: string, base: string): string | null {
  const value = member(object, name);
  if (value === null || isConnectionId(value)) return value;
  throw invalid(pointer(base, name), `must be 1 to ${String(MAX_ID_CHARACTERS)} printable ASCII characters`);
}

/** An object member, or null where it is absent. @throws EventError `EVENT_INVALID`: anything else */
export function optionalObject(object: JsonObject, name: string, base: string): JsonObject | null {
  const value = member(object, name);
  if (value === null || isObject(value)) return value;
  throw invalid(pointer(base, name), 'must be an object');
}

/** A number member, or null where it is absent or something else. */
export function lenientNumber(object: JsonObject, name: string): number | null {
  const value = member(object, name);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Milliseconds since the epoch, or null where absent. @throws EventError `EVENT_INVALID`: anything else */
export function optionalTimestampMs(object: JsonObject, name: string, base: string): number | null {
  const value = member(object, name);
  if (value === null) return null;
  if (isTimestampMs(value)) return value;
  throw invalid(pointer(base, name), 'must be a whole number of milliseconds since the epoch');
}

export function isTimestampMs(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
