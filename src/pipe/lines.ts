import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '../limits.js';

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
