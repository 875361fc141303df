import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { messageOf } from './names.js';

export interface WaitOptions {
  /** What the test waits for, in words, for the message of a time-out. */
  readonly what: string;
  /** Default {@link patienceMs}. */
  readonly timeoutMs?: number;
  /** The pause between two looks, milliseconds. Default 50. */
  readonly intervalMs?: number;
}

/** A condition throws this if it cannot come true any more. The wait ends at once. */
export class HopelessError extends Error {
  override readonly name = 'HopelessError';
}

/**
 * The default time-out of a wait, milliseconds: most of the time that a test has (vitest.config.ts sets it for each suite).
 * So a busy machine fails no test, and a wait without success still ends with its own message.
 */
export function patienceMs(): number {
  return Number(process.env['TEST_PATIENCE_MS'] ?? 15_000);
}

type Falsy = false | null | undefined | 0 | '';

/**
 * Calls `condition` again and again until it returns something truthy, and returns that. If it throws, it is called again,
 * unless it throws a {@link HopelessError}. After the time-out it fails with `what` and the last value or error.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = patienceMs(), intervalMs = 50 }: WaitOptions,
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const look = await lookOnce(condition);
    if ('value' in look && isTruthy(look.value)) return look.value;
    if (performance.now() >= deadline) {
      const seen = 'value' in look ? `last value: ${show(look.value)}` : `last error: ${look.error}`;
      throw new Error(`Waited ${timeoutMs} ms without success for ${what}; ${seen}`);
    }
    await delay(intervalMs);
  }
}

async function lookOnce<T>(condition: () => T | Promise<T>): Promise<{ value: T } | { error: string }> {
  try {
    return { value: await condition() };
  } catch (error) {
    if (error instanceof HopelessError) throw error;
    return { error: messageOf(error) };
  }
}

function isTruthy<T>(value: T): value is Exclude<T, Falsy> {
  return Boolean(value);
}

function show(value: unknown): string {
  return inspect(value, { depth: 4, breakLength: Infinity, maxStringLength: 2_000 });
}
