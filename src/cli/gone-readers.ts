import type { Writable } from 'node:stream';

const GONE: ReadonlySet<unknown> = new Set(['EPIPE', 'EOF', 'ERR_STREAM_DESTROYED']);

/**
 * Lets a command go on to its end where nobody reads what it prints any more (`… | head -1`): it ends with the code that
 * it would have had. Any other failure of an output stays one.
 */
export function ignoreGoneReaders(streams: readonly Writable[]): void {
  for (const stream of streams)
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!GONE.has(error.code)) throw error;
    });
}
