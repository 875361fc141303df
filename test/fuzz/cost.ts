import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { decodeRecord } from '../../src/events/decode.js';
import { decodeBatches } from '../../src/kafka/record-batches.js';
import { toSourceRecord } from '../../consumers/records.js';
import { CODEC } from '../../src/kafka/unpack.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { LockedState } from '../../src/pipeline/ledger.js';
import { askedSecretIds, decideEvent } from '../../src/pipeline/plan.js';
import { prepareEvent } from '../../src/pipeline/prepare.js';
import type { SourceRecord } from '../../src/terms.js';
import { packLz4, packZstd } from '../harness/codecs.js';
import { newState } from './contexts.js';
import { finished, outcomeOf, refusalOf, type Verdict } from './oracle.js';
import { NOW_MS, TOPICS } from './samples.js';

/** What a broker takes for one batch where nobody has set it: `message.max.bytes`. */
const BROKER_BYTES = 1_048_588;
const HEADER_BYTES = 61;

const snappy = createRequire(import.meta.url)('snappyjs') as { compress(input: Buffer): Buffer };

interface Packer {
  readonly type: number;
  readonly pack: (bytes: Buffer) => Buffer;
}

const PACKERS = {
  none: { type: 0, pack: (bytes) => bytes },
  gzip: { type: CODEC.gzip, pack: (bytes) => gzipSync(bytes) },
  snappy: { type: CODEC.snappy, pack: (bytes) => snappy.compress(bytes) },
  lz4: { type: CODEC.lz4, pack: packLz4 },
  zstd: { type: CODEC.zstd, pack: packZstd },
} as const satisfies Record<string, Packer>;
export type CodecName = keyof typeof PACKERS;
export const CODEC_NAMES = Object.keys(PACKERS) as readonly CodecName[];

export interface Cost {
  /** Of the event loop. */
  readonly ms: number;
  /** Of memory above what the process had before, garbage included; null where the machine does not tell. */
  readonly mb: number | null;
  readonly outcome: Verdict['outcome'];
  readonly code: Verdict['code'];
}

/** A batch with one record, as a broker keeps it; null where no broker would take it. */
export function batchOf(
  value: Buffer,
  headers: Readonly<Record<string, string>>,
  codec: CodecName,
): Buffer | null {
  const { type, pack } = PACKERS[codec];
  const packed = pack(recordOf(value, headers));
  if (HEADER_BYTES + packed.length > BROKER_BYTES) return null;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeInt32BE(HEADER_BYTES - 12 + packed.length, 8);
  header.writeUInt8(2, 16);
  header.writeInt16BE(type, 21);
  header.writeBigInt64BE(BigInt(NOW_MS - 1_000), 27);
  header.writeBigInt64BE(BigInt(NOW_MS - 1_000), 35);
  header.writeInt32BE(1, 57);
  return Buffer.concat([header, packed]);
}

function recordOf(value: Buffer, headers: Readonly<Record<string, string>>): Buffer {
  const all = Object.entries(headers).flatMap(([name, text]) => [
    sized(Buffer.from(name)),
    sized(Buffer.from(text)),
  ]);
  // Attributes, time and offset later by 0, no key.
  const body = Buffer.concat([
    Buffer.from([0, 0, 0, 1]),
    sized(value),
    varint(Object.keys(headers).length),
    ...all,
  ]);
  return Buffer.concat([varint(body.length), body]);
}

const sized = (bytes: Buffer): Buffer => Buffer.concat([varint(bytes.length), bytes]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value * 2;
  for (; left >= 0x80; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** What a batch costs from the broker's answer to the decision, and what is kept of it. */
export async function costOf(batch: Buffer, context: PlanContext, before: LockedState | null): Promise<Cost> {
  collect();
  const memory = startOfMemory();
  const begin = threadMs();
  const [message] = await decodeBatches(batch, { bytes: 0, records: 0 });
  if (message === undefined) throw new Error('a batch without a record');
  const handled = handle(toSourceRecord(TOPICS.updated, 0, message), context, before);
  const ms = threadMs() - begin;
  return { ms, mb: memory(), ...handled };
}

function handle(
  record: SourceRecord,
  context: PlanContext,
  before: LockedState | null,
): Pick<Verdict, 'outcome' | 'code'> {
  const decoded = decodeRecord(record, TOPICS, NOW_MS);
  switch (decoded.kind) {
    case 'tombstone':
    case 'ignored':
      return { outcome: decoded.kind, code: null };
    case 'undecodable':
      refusalOf(decoded, record, context);
      return { outcome: 'refused', code: decoded.error.code };
    case 'event': {
      const prepared = prepareEvent(decoded.event, record, context);
      const { connectionId } = decoded.event;
      const state = before?.connection.id === connectionId ? before : newState(connectionId);
      askedSecretIds(prepared, state.connection, state.references, context);
      const decision = decideEvent(prepared, state, context);
      if (decision.kind === 'write') finished(decision.plan);
      return outcomeOf(decision);
    }
  }
}

/** How long this thread has had a processor, whatever else the machine does; the time of day where it is not told. */
function threadMs(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return performance.now();
  }
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Linux keeps the most that a process has had, and forgets it when it is told to. */
function startOfMemory(): () => number | null {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    return () => null;
  }
  const before = process.memoryUsage.rss();
  return () => {
    const most = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return most === undefined ? null : (Number(most) * 1_024 - before) / 1e6;
  };
}
