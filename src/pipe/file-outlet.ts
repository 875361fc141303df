import { constants, openSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError, WorkerError } from '../errors.js';
import { publishTimeoutMs } from '../pipeline/claim.js';
import type { OutgoingRecord, Outlet } from '../transport.js';

/** A pipe has no topics: nothing limits the length of a line. */
const NO_LIMIT_BYTES = Number.MAX_SAFE_INTEGER;
const LONGEST_WRITE_MS = 5_000;
const READER_POLL_MS = 100;
const CHUNK_BYTES = 1024 * 1024;
/** Every line of ours begins like this. */
const LINE_START = '{"specversion"';

/** The destination of a pipe's lines. */
interface LineSink {
  /** Resolves when the text is durable; if the destination cannot be synced (terminal, pipe, device), when it is written. */
  write(text: string): Promise<void>;
  /** Whether the reader has closed it: then nothing more can be written. */
  readonly isClosed: boolean;
  close(): Promise<void>;
}

/** Writes secured events as lines. It drops dead letters: the table has them. */
export class LineOutlet implements Outlet {
  readonly requestTimeoutMs: number;
  readonly #sink: LineSink;

  /** @param claimMs how long a claim lasts: lines are written under it */
  constructor(sink: LineSink, claimMs: number) {
    this.#sink = sink;
    this.requestTimeoutMs = publishTimeoutMs(claimMs, LONGEST_WRITE_MS);
  }

  maxRecordBytes(): number {
    return NO_LIMIT_BYTES;
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    const lines = records
      .filter(({ stream, value }) => stream === 'secured' && value !== null)
      .map(({ value }) => `${value?.toString('utf8') ?? ''}\n`);
    if (lines.length > 0) await this.#sink.write(lines.join(''));
  }
}

/**
 * Appends to a file, and syncs it before an event counts as sent. For a named pipe it waits until there is a reader, or
 * `signal` is aborted.
 *
 * @throws ConfigurationError USAGE_INVALID if the file cannot be opened
 */
export async function openFileSink(file: string, signal: AbortSignal): Promise<LineSink> {
  const found = await stat(file).catch(() => null);
  if (found?.isFIFO() === true) return openNamedPipe(file, signal);
  // If it exists and is no file, it is a device: it has no last line to check, and cannot be synced.
  const isFile = found === null || found.isFile();
  const handle = await openOutput(file, isFile ? 'a+' : 'a');
  if (isFile) await cutTornLine(handle);
  let tail: Promise<void> = Promise.resolve();
  const append = async (text: string): Promise<void> => {
    try {
      await handle.appendFile(text, 'utf8');
      if (isFile) await handle.datasync();
    } catch {
      throw new WorkerError('BROKER_UNAVAILABLE', `writing to ${file} failed`);
    }
  };
  return {
    isClosed: false,
    write: (text) => {
      const written = tail.then(() => append(text));
      tail = written.catch(() => undefined);
      return written;
    },
    close: async () => {
      await tail;
      await handle.close();
    },
  };
}

/** Opens without blocking: an open that waits for the reader would not see the signal. */
async function openNamedPipe(file: string, signal: AbortSignal): Promise<LineSink> {
  for (let fd = tryOpenPipe(file); ; fd = tryOpenPipe(file)) {
    if (fd !== null) {
      const socket = new Socket({ fd, readable: false, writable: true });
      return streamSink(socket, { name: file, close: () => socket.destroy() });
    }
    await sleep(READER_POLL_MS, undefined, { signal });
  }
}

/** Null if the pipe has no reader yet. */
function tryOpenPipe(file: string): number | null {
  try {
    return openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENXIO') return null;
    throw notOpened(file);
  }
}

async function openOutput(file: string, flags: 'a' | 'a+'): Promise<FileHandle> {
  try {
    return await open(file, flags, 0o600);
  } catch {
    throw notOpened(file);
  }
}

function notOpened(file: string): ConfigurationError {
  return new ConfigurationError(
    'USAGE_INVALID',
    `--out: ${file} cannot be opened for appending; check the path and its permissions`,
  );
}

/**
 * A process that dies while it appends leaves half a line. Its event does not count as sent and is written again, so we cut
 * the half line off. If the last line is not ours, we only add its line break.
 */
async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const lineStart = await lastLineStart(handle, size);
  if (lineStart === size) return;
  const torn = (await bytesOf(handle, lineStart, Math.min(size, lineStart + LINE_START.length))).toString();
  // The line may even end within its first characters.
  if (LINE_START.startsWith(torn)) await handle.truncate(lineStart);
  else await handle.appendFile('\n');
}

/** The offset after the last line break; `size` if the file ends with one. */
async function lastLineStart(handle: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; end -= CHUNK_BYTES) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const at = (await bytesOf(handle, start, end)).lastIndexOf(0x0a);
    if (at !== -1) return start + at + 1;
  }
  return 0;
}

async function bytesOf(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  await handle.read(bytes, 0, bytes.length, start);
  return bytes;
}

/** Writes to a stream such as standard output. A write is done when the stream has passed it on. */
export function streamSink(
  stream: Writable,
  {
    name = 'standard output',
    close = () => undefined,
  }: { readonly name?: string; readonly close?: () => void } = {},
): LineSink {
  let isClosed = false;
  // Without a listener an error would end the process.
  stream.on('error', () => {
    isClosed = true;
  });
  return {
    get isClosed() {
      return isClosed;
    },
    write: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, 'utf8', (error) => {
          if (error == null) {
            resolve();
            return;
          }
          isClosed = true;
          reject(new WorkerError('INTERNAL', `${name} was closed by its reader`));
        });
      }),
    close: () => {
      close();
      return Promise.resolve();
    },
  };
}
