import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ConfigurationError, WorkerError } from '../errors.js';
import type { SourceTopics } from '../events/decode.js';
import { longPipeLine, parsePipeLine } from '../events/pipe-line.js';
import { LIMITS } from '../limits.js';
import { pause } from '../pause.js';
import type { SourceRecord } from '../terms.js';
import { weightOf } from '../transport.js';

interface PipeParts {
  readonly topics: SourceTopics;
  /** The {@link SourceRecord.digest} of a line. */
  digestOf(record: SourceRecord): string;
  handle(record: SourceRecord, signal: AbortSignal): Promise<unknown>;
  /** Publishes records that are unsent; returns their number. */
  relay(signal: AbortSignal): Promise<number>;
  /** Tries kept events again that are due. */
  retryDue(signal: AbortSignal): Promise<unknown>;
  /** Handles the waiting events for the last time; returns their number. */
  refuseWaiting(signal: AbortSignal): Promise<number>;
  /** Moves the other connections to the active manager, at the end: each event moves its own connection. */
  moveRest(signal: AbortSignal): Promise<unknown>;
  /** One round of the janitor, repeated beside the lines: perhaps no worker runs that does it. */
  lookAfter(signal: AbortSignal): Promise<unknown>;
  /** The last rounds of the janitor, at the end. */
  tidyUp(signal: AbortSignal): Promise<unknown>;
  /** Called before each retry. */
  onRetry(error: WorkerError, delayMs: number): void;
  readonly concurrency: number;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
const LOOK_AFTER_EVERY_MS = 5_000;

/**
 * Runs every line of the input through the pipeline, several at a time, in order within a connection. It skips no line: it
 * tries again after `transient` errors for as long as they last.
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

/** When all work that was begun has ended, rejects with its first failure: of a line, or of the janitor beside them. */
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
  const stopJanitor = startJanitor(parts, signal, (error) => failures.push(error));
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
      // The keyed digest replaces the plain hash of a long line: nobody may guess a value by it.
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
    await Promise.all([...running, stopJanitor()]);
  }
  if (failures.length > 0) throw failures[0];
}

/** @returns a function that stops the janitor and resolves when its present round has ended */
function startJanitor(
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

/** Opens the input of `--in`: a file, or standard input for `-`. */
export function openInput(file: string): AsyncIterable<Buffer> {
  return file === '-' ? process.stdin : fileChunks(file);
}

async function* fileChunks(file: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Buffer;
  } catch {
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--in: ${file} cannot be read; check the path and its permissions`,
    );
  }
}

const LINE_FEED = 0x0a;
const FIRST_BYTES = 4_096;

/** Stands for a line over the limit, whose bytes are dropped. */
export interface LongLine {
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of its bytes, in hexadecimal digits. */
  readonly digest: string;
}

/**
 * Splits a byte stream into lines, without their line breaks. A last line needs no line break. A line over the limit is
 * read to its end, and its bytes are dropped.
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

/** Collects one line after the other from parts of any size, and never holds more bytes than the limit. */
export class LineCollector {
  readonly #maxBytes: number;
  #held = Buffer.alloc(0);
  #size = 0;
  /** Set once the line is over the limit. */
  #digest: Hash | null = null;

  constructor(maxBytes: number = LIMITS.recordBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the line so far. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the buffer that holds it. */
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

  /** Returns the line and begins the next one. */
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

  /** Doubles the buffer, so that a line in many small parts is not copied for each part. */
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
