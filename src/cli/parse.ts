import { InvalidArgumentError } from 'commander';
import { ACTOR_FORM, ACTOR_NAME } from '../operator.js';

/** An option that is a whole number. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER
        ? `A whole number from ${min} on is needed.`
        : `A whole number from ${min} to ${max} is needed.`,
    );
  };
}

const LONGEST_TEXT = 512;

/** A name, an id or the first characters of one. */
export function shortText(text: string): string {
  if (text !== '' && text.length <= LONGEST_TEXT) return text;
  throw new InvalidArgumentError(`A text of 1 to ${LONGEST_TEXT} characters is needed.`);
}

/** The name of who does something, as AUDIT_ACTOR takes it. */
export function actorName(text: string): string {
  if (ACTOR_NAME.test(text)) return text;
  throw new InvalidArgumentError(`It must be ${ACTOR_FORM}.`);
}

/** `compact`, or how long in milliseconds (-1: forever). */
export function retention(text: string): 'compact' | number {
  if (text === 'compact') return text;
  try {
    return wholeNumber(-1)(text);
  } catch {
    throw new InvalidArgumentError('The word compact or a number of milliseconds (-1: forever) is needed.');
  }
}

const AGE = /^(\d{1,6})(s|m|h|d)$/;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A point in time: ISO 8601, or an age such as `24h`. Milliseconds since the epoch. */
export function pointInTime(text: string, nowMs: number = Date.now()): number {
  const [, count, unit] = AGE.exec(text) ?? [];
  if (count !== undefined && unit !== undefined)
    return nowMs - Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('A date such as 2030-01-31T12:00:00Z or an age such as 24h is needed.');
  return ms;
}
