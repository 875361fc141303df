import { LIMITS } from '../limits.js';

const MAGIC = 0x184d2204;
const BLOCK_BYTES: Readonly<Record<number, number>> = { 4: 0x10000, 5: 0x40000, 6: 0x100000, 7: 0x400000 };
const STORED = 0x80000000;
const LEAST_MATCH = 4;

/**
 * Decompresses an LZ4 frame (format 1.6.x), the only format of Kafka's producers. We have our own decoder because those
 * for JavaScript either do not limit their output, or accept damaged input.
 *
 * @returns null if the result would be larger than `maxBytes`
 * @throws RangeError if the frame is damaged or uses a dictionary
 * Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function unpackLz4(frame: Buffer, maxBytes: number = LIMITS.batchBytes): Buffer | null {
  const blocks = readFrame(frame);
  let size = 0;
  for (const block of blocks) {
    size += block.isStored ? block.bytes.length : sizeOf(block.bytes);
    if (size > maxBytes) return null;
  }
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { bytes, isStored } of blocks) {
    if (isStored) at += bytes.copy(out, at);
    else at = writeBlock(bytes, out, at);
  }
  return out;
}

interface Block {
  readonly bytes: Buffer;
  readonly isStored: boolean;
}

function readFrame(frame: Buffer): Block[] {
  if (frame.readUInt32LE(0) !== MAGIC) throw damaged();
  const flags = frame.readUInt8(4);
  const largest = BLOCK_BYTES[(frame.readUInt8(5) >> 4) & 7];
  const hasDictionary = (flags & 1) !== 0;
  if (flags >> 6 !== 1 || hasDictionary || largest === undefined) throw damaged();
  const [hasContentSize, hasBlockSums] = [(flags & 8) !== 0, (flags & 16) !== 0];
  const blocks: Block[] = [];
  // Magic number, flags and block size; then the content size (optional) and one byte of checksum.
  let at = 6 + (hasContentSize ? 8 : 0) + 1;
  for (;;) {
    const word = frame.readUInt32LE(at);
    if (word === 0) return blocks;
    const isStored = word >= STORED;
    const length = isStored ? word - STORED : word;
    const end = at + 4 + length;
    if (length > largest || end > frame.length) throw damaged();
    blocks.push({ bytes: frame.subarray(at + 4, end), isStored });
    at = end + (hasBlockSums ? 4 : 0);
  }
}

/** One sequence of a block: literals, then a match (a copy of earlier output). The last sequence has literals only. */
interface Sequence {
  literalsAt: number;
  literals: number;
  distance: number;
  match: number;
  next: number;
}

function readSequence(block: Buffer, at: number, into: Sequence): void {
  const token = block.readUInt8(at);
  let next = at + 1;
  let literals = token >> 4;
  if (literals === 15) [literals, next] = longer(block, next, literals);
  into.literalsAt = next;
  into.literals = literals;
  next += literals;
  if (next > block.length) throw damaged();
  into.match = 0;
  if (next < block.length) {
    into.distance = block.readUInt16LE(next);
    next += 2;
    let match = token & 15;
    if (match === 15) [match, next] = longer(block, next, match);
    into.match = match + LEAST_MATCH;
  }
  into.next = next;
}

function longer(block: Buffer, from: number, start: number): [length: number, next: number] {
  let [length, at] = [start, from];
  for (;;) {
    const more = block.readUInt8(at);
    at += 1;
    length += more;
    if (more !== 255) return [length, at];
  }
}

const newSequence = (): Sequence => ({ literalsAt: 0, literals: 0, distance: 0, match: 0, next: 0 });

function sizeOf(block: Buffer): number {
  const sequence = newSequence();
  let size = 0;
  for (let at = 0; at < block.length; at = sequence.next) {
    readSequence(block, at, sequence);
    size += sequence.literals + sequence.match;
  }
  return size;
}

function writeBlock(block: Buffer, out: Buffer, from: number): number {
  const sequence = newSequence();
  let to = from;
  for (let at = 0; at < block.length; at = sequence.next) {
    readSequence(block, at, sequence);
    to += block.copy(out, to, sequence.literalsAt, sequence.literalsAt + sequence.literals);
    to = copyMatch(out, to, sequence);
  }
  return to;
}

/** A match may overlap its own output, which then repeats: we copy it in parts that double. */
function copyMatch(out: Buffer, to: number, { distance, match }: Sequence): number {
  if (match === 0) return to;
  const from = to - distance;
  if (distance === 0 || from < 0) throw damaged();
  for (let copied = 0; copied < match;) {
    const part = Math.min(match - copied, to + copied - from);
    out.copyWithin(to + copied, from, from + part);
    copied += part;
  }
  return to + match;
}

function damaged(): RangeError {
  return new RangeError('damaged LZ4 frame');
}
