import { inspect } from 'node:util';
import { expect } from 'vitest';
import { shownError } from '../../../src/cli/errors.js';
import { createLogger } from '../../../src/observability/index.js';
import { crashLine } from '../../../src/observability/crash.js';
import { CANARY, findCanary } from '../../harness/canary.js';

const ALL = { depth: Infinity, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null };

/** All that anybody can make of an error: printed with members and causes, logged, reported, as the last words. */
export function everythingOf(error: unknown): string {
  const lines: string[] = [];
  const logger = createLogger({ level: 'trace', stream: { write: (line) => void lines.push(line) } });
  logger.warn({ error, err: error, cause: error }, 'failed');
  if (error instanceof Error) logger.error(error);
  return [
    inspect(error, ALL),
    inspect(new AggregateError([error], 'x', { cause: error }), ALL),
    String(error),
    error instanceof Error ? error.stack : '',
    JSON.stringify(error),
    JSON.stringify(shownError(error)),
    crashLine('uncaughtException', error),
    ...lines,
  ].join('\n');
}

/** That this is a canary's path at all: the stranger's error does quote it. */
export function expectQuoted(error: unknown, canary: string = CANARY): void {
  expect(findCanary(inspect(error, ALL), canary), 'the original error quotes the value').not.toEqual([]);
}

export function expectQuiet(error: unknown, canary: string = CANARY): void {
  expect(error).toBeDefined();
  const shown = everythingOf(error);
  expect(findCanary(shown, canary), shown).toEqual([]);
}

/** What a call throws. */
export async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}
