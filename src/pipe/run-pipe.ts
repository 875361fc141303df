import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError, WorkerError } from '../errors.js';
import { parsePipeLine } from '../events/pipe-line.js';
import type { SourceTopics } from '../events/source-topics.js';
import type { SourceRecord } from '../terms.js';
import { splitLines } from './lines.js';

export interface PipeParts {
  readonly topics: SourceTopics;
  handle(record: SourceRecord, signal: AbortSignal): Promise<unknown>;
  /** Publishes what an earlier run left unsent; returns how many records. */
  relay(signal: AbortSignal): Promise<number>;
  /** Tries again what is due of what is kept. */
  retryDue(signal: AbortSignal): Promise<unknown>;
  /** Handles what waits, for the last time; returns how many events. */
  refuseWaiting(signal: AbortSignal): Promise<number>;
  /** Moves what is not kept in the active manager yet: at the end, for events bring their connections along. */
  moveRest(signal: AbortSignal): Promise<unknown>;
  /** Looks after what is stored, as a worker does all the time: nobody else may be there to do it. */
  tidyUp(signal: AbortSignal): Promise<unknown>;
  /** Told of what is tried again. */
  onRetry(error: WorkerError, delayMs: number): void;
  readonly concurrency: number;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;

/**
 * Every line of the input through the pipeline, several at a time, in order within a connection. What is passing is
 * tried again for as long as it takes: no line is skipped.
 */
export async function runPipe(
  input: AsyncIterable<Buffer>,
  parts: PipeParts,
  signal: AbortSignal,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  await persistently(() => parts.relay(signal), parts, signal);
  await persistently(() => parts.retryDue(signal), parts, signal);
  let lineNumber = 0;
  for await (const line of splitLines(input)) {
    const record = parsePipeLine(line, lineNumber, parts.topics, Date.now());
    lineNumber += 1;
    if (record === null) continue;
    const work: Promise<void> = persistently(() => parts.handle(record, signal), parts, signal).then(
      () => {
        running.delete(work);
      },
      (error: unknown) => {
        running.delete(work);
        failures.push(error);
      },
    );
    running.add(work);
    if (running.size >= parts.concurrency) await Promise.race(running);
    if (failures.length > 0 || signal.aborted) break;
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
  if (!signal.aborted) while ((await persistently(() => parts.refuseWaiting(signal), parts, signal)) > 0);
  if (!signal.aborted) await persistently(() => parts.moveRest(signal), parts, signal);
  await persistently(() => parts.relay(signal), parts, signal);
  if (!signal.aborted) await persistently(() => parts.tidyUp(signal), parts, signal);
}

async function persistently<T>(work: () => Promise<T>, parts: PipeParts, signal: AbortSignal): Promise<T> {
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof WorkerError && error.retryable) || signal.aborted) throw error;
      parts.onRetry(error, delayMs);
      await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** The input of `--in`: a file, or standard input for `-`. */
export function openInput(file: string): AsyncIterable<Buffer> {
  return file === '-' ? process.stdin : fileChunks(file);
}

async function* fileChunks(file: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Buffer;
  } catch {
    throw new ConfigurationError('USAGE_INVALID', `--in: ${file} can not be read`);
  }
}
