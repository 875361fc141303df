import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ConfigurationError, WorkerError } from '../errors.js';
import type { SourceTopics } from '../events/decode.js';
import { longPipeLine, parsePipeLine } from '../events/pipe-line.js';
import { LIMITS } from '../limits.js';
import { pause } from '../pause.js';
import type { SourceRecord } from '../terms.js';
import { weightOf } from '../transport.js';

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
 * tried again until it succeeds: no line is skipped.
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

const LINE_FEED = 0x0a;
const FIRST_BYTES = 4_096;

/** What stands for a line that is over the limit: it is not kept. */
export interface LongLine {
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of its bytes, in hexadecimal digits. */
  readonly digest: string;
}

/**
 * The lines of a byte stream, without their line breaks; a last line without one counts, an empty rest does not. A line
 * over the limit is read to its end, but not kept.
 */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer | LongLine> {
  const line = new LineCollector();
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      line.add(chunk.subarray(start, end));
      yield line.take();
      start = end + 1;
    }
    line.add(chunk.subarray(start));
  }
  if (line.size > 0) yield line.take();
}

/** Collects one line after the other, of parts of any size, and never holds more than the limit. */
export class LineCollector {
  readonly #maxBytes: number;
  #held = Buffer.alloc(0);
  #size = 0;
  /** Set as soon as the line is over the limit. */
  #digest: Hash | null = null;

  constructor(maxBytes: number = LIMITS.recordBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the line so far. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that are held for it. */
  get heldBytes(): number {
    return this.#held.length;
  }

  add(part: Buffer): void {
    const before = this.#size;
    this.#size += part.length;
    if (this.#size > this.#maxBytes) {
      this.#digest ??= createHash('sha256').update(this.#held.subarray(0, before));
      this.#digest.update(part);
      this.#held = Buffer.alloc(0);
      return;
    }
    if (this.#size > this.#held.length) this.#grow(before);
    part.copy(this.#held, before);
  }

  /** The line, which ends here; then the next one begins. */
  take(): Buffer | LongLine {
    const line =
      this.#digest === null
        ? this.#held.subarray(0, this.#size)
        : { size: this.#size, digest: this.#digest.digest('hex') };
    this.#held = Buffer.alloc(0);
    this.#size = 0;
    this.#digest = null;
    return line;
  }

  /** To twice as much, so that a line in many small parts is not copied for each of them. */
  #grow(filled: number): void {
    const bytes = Math.max(
      this.#size,
      Math.min(this.#maxBytes, Math.max(FIRST_BYTES, 2 * this.#held.length)),
    );
    const larger = Buffer.alloc(bytes);
    this.#held.copy(larger, 0, 0, filled);
    this.#held = larger;
  }
}
