import { open, type FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { ConfigurationError, WorkerError } from '../errors.js';
import { publishTimeoutMs } from '../pipeline/claim.js';
import type { OutgoingRecord, Outlet } from '../transport.js';

/** A pipe has no topics: its lines may be as long as they are. */
const NO_LIMIT_BYTES = Number.MAX_SAFE_INTEGER;
const LONGEST_WRITE_MS = 5_000;
const CHUNK_BYTES = 1024 * 1024;
/** Of every line of ours. */
const LINE_START = '{"specversion"';

/** Where the lines of a pipe go. */
export interface LineSink {
  /** Resolves when the text is durable. */
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

/** Secured events as lines. Dead letters have no stream here: the table keeps them. */
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

/** Appends to a file, synced before an event counts as sent. Throws CONFIG_INVALID where it can not be opened. */
export async function openFileSink(file: string): Promise<LineSink> {
  const handle = await openForAppending(file);
  await cutTornLine(handle);
  let tail: Promise<void> = Promise.resolve();
  const append = async (text: string): Promise<void> => {
    try {
      await handle.appendFile(text, 'utf8');
      await handle.datasync();
    } catch {
      throw new WorkerError('BROKER_UNAVAILABLE', `writing to ${file} failed`);
    }
  };
  return {
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

async function openForAppending(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'a+', 0o600);
  } catch {
    throw new ConfigurationError('USAGE_INVALID', `--out: ${file} can not be opened for appending`);
  }
}

/**
 * A process that died while appending leaves half a line; its event does not count as sent and comes again. The half is
 * cut off, so that what follows is a line of its own; a text that is not ours only gets its line break.
 */
async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const lineStart = await lastLineStart(handle, size);
  if (lineStart === size) return;
  const torn = (await bytesOf(handle, lineStart, Math.min(size, lineStart + LINE_START.length))).toString();
  // It may be torn before the end of that.
  if (LINE_START.startsWith(torn)) await handle.truncate(lineStart);
  else await handle.appendFile('\n');
}

/** The offset after the last line break; `size` where that ends the file. */
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

/** Writes to a stream such as standard output; done when the stream has passed it on. */
export function streamSink(stream: Writable): LineSink {
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, 'utf8', (error) => {
          if (error == null) resolve();
          else reject(new WorkerError('INTERNAL', 'standard output was closed by its reader'));
        });
      }),
    close: () => Promise.resolve(),
  };
}
