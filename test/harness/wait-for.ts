import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { messageOf } from './names.js';

export interface WaitOptions {
  /** What is waited for, in words: it stands in the message of a time-out. */
  readonly what: string;
  /** Default {@link patienceMs}. */
  readonly timeoutMs?: number;
  /** Pause between two looks. Default 50. */
  readonly intervalMs?: number;
}

/** Thrown by a condition that cannot come true any more: nothing is waited for. */
export class HopelessError extends Error {
  override readonly name = 'HopelessError';
}

/**
 * How long a wait is that does not say it: most of what its test has (vitest.config.ts says it for each suite), so that
 * a busy machine fails nothing, and a wait in vain still ends with its own message.
 */
export function patienceMs(): number {
  return Number(process.env['TEST_PATIENCE_MS'] ?? 15_000);
}

type Falsy = false | null | undefined | 0 | '';

/**
 * Looks again and again until `condition` gives something truthy, and returns that. A condition that throws is looked
 * at again, unless it throws a {@link HopelessError}. After the time-out it fails with `what`, and the last value or
 * error seen.
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
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}; ${seen}`);
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
