import { createReadStream } from 'node:fs';
import { ConfigurationError, WorkerError } from '../errors.js';
import { pause } from '../pause.js';
import { longPipeLine, parsePipeLine } from '../events/pipe-line.js';
import type { SourceTopics } from '../events/source-topics.js';
import type { SourceRecord } from '../terms.js';
import { weightOf } from '../transport.js';
import { splitLines } from './lines.js';

export interface PipeParts {
  readonly topics: SourceTopics;
  /** {@link SourceRecord.digest} of a line. */
  digestOf(record: SourceRecord): string;
  handle(record: SourceRecord, signal: AbortSignal): Promise<unknown>;
  /** Publishes what an earlier run left unsent; returns how many records. */
  relay(signal: AbortSignal): Promise<number>;
  /** Tries again what is due of what is kept. */
  retryDue(signal: AbortSignal): Promise<unknown>;
  /** Handles what waits, for the last time; returns how many events. */
  refuseWaiting(signal: AbortSignal): Promise<number>;
  /** Moves what is not kept in the active manager yet: at the end, for events bring their connections along. */
  moveRest(signal: AbortSignal): Promise<unknown>;
  /** Looks after what is stored, again and again beside the lines: nobody else may be there to do it. */
  lookAfter(signal: AbortSignal): Promise<unknown>;
  /** The same at the end, for what lasts longer. */
  tidyUp(signal: AbortSignal): Promise<unknown>;
  /** Told of what is tried again. */
  onRetry(error: WorkerError, delayMs: number): void;
  readonly concurrency: number;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
const LOOK_AFTER_EVERY_MS = 5_000;

/**
 * Every line of the input through the pipeline, several at a time, in order within a connection. What is passing is
 * tried again for as long as it takes: no line is skipped.
 */
export async function runPipe(
  input: AsyncIterable<Buffer>,
  parts: PipeParts,
  signal: AbortSignal,
): Promise<void> {
  await persistently(() => parts.relay(signal), parts, signal);
  await persistently(() => parts.retryDue(signal), parts, signal);
  await handleLines(input, parts, signal);
  if (!signal.aborted) while ((await persistently(() => parts.refuseWaiting(signal), parts, signal)) > 0);
  if (!signal.aborted) await persistently(() => parts.moveRest(signal), parts, signal);
  await persistently(() => parts.relay(signal), parts, signal);
  if (!signal.aborted) await persistently(() => parts.tidyUp(signal), parts, signal);
}

/** Rejects with the first failure, of a line or of what is done beside them, when all that was begun has ended. */
async function handleLines(
  input: AsyncIterable<Buffer>,
  parts: PipeParts,
  signal: AbortSignal,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let places = 0;
  const begin = (work: Promise<unknown>, weight: number): void => {
    const ended = work
      .catch((error: unknown) => {
        failures.push(error);
      })
      .then(() => {
        running.delete(ended);
        places -= weight;
      });
    running.add(ended);
    places += weight;
  };
  const stopLooking = startLookingAfter(parts, signal, (error) => failures.push(error));
  try {
    let lineNumber = 0;
    for await (const line of splitLines(input)) {
      const record = Buffer.isBuffer(line)
        ? parsePipeLine(line, lineNumber, parts.topics, Date.now())
        : longPipeLine(line, lineNumber, Date.now());
      lineNumber += 1;
      if (record === null) continue;
      const digest = parts.digestOf(record);
      const { unread } = record;
      // That of its bytes alone is no secret's: nobody is to guess a value by it.
      const known = { ...record, digest, ...(unread === undefined ? {} : { unread: { ...unread, digest } }) };
      const weight = weightOf(known.value);
      while (running.size > 0 && places + weight > parts.concurrency) await Promise.race(running);
      if (failures.length > 0 || signal.aborted) break;
      begin(
        persistently(() => parts.handle(known, signal), parts, signal),
        weight,
      );
      if (failures.length > 0 || signal.aborted) break;
    }
  } finally {
    await Promise.all([...running, stopLooking()]);
  }
  if (failures.length > 0) throw failures[0];
}

/** Returns what stops it, which resolves when the round that is under way has ended: none is broken off. */
function startLookingAfter(
  parts: PipeParts,
  signal: AbortSignal,
  onFatal: (error: unknown) => void,
): () => Promise<void> {
  const stopping = new AbortController();
  const either = AbortSignal.any([signal, stopping.signal]);
  const loop = async (): Promise<void> => {
    while (!either.aborted) {
      await persistently(() => parts.lookAfter(signal), parts, either);
      await pause(LOOK_AFTER_EVERY_MS, either);
    }
  };
  const ended = loop().catch((error: unknown) => {
    if (!either.aborted) onFatal(error);
  });
  return () => {
    stopping.abort();
    return ended;
  };
}

async function persistently<T>(work: () => Promise<T>, parts: PipeParts, signal: AbortSignal): Promise<T> {
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof WorkerError && error.retryable) || signal.aborted) throw error;
      parts.onRetry(error, delayMs);
      await pause(delayMs * (0.5 + Math.random() / 2), signal);
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
    throw new ConfigurationError('USAGE_INVALID', `--in: ${file} cannot be read`);
  }
}
