import { randomUUID } from 'node:crypto';
import type { OutboxRow } from '../database/rows.js';
import { WorkerError } from '../errors.js';
import { tokenOf, toSealed } from '../fernet/index.js';
import type { OutgoingRecord, Stream } from '../transport.js';
import type { Sealer } from './context.js';

interface PackedRecord {
  readonly stream: Stream;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Its references were judged when it was made. Absent: an earlier version made it, which judged less. */
  readonly isJudged?: true;
}

/** Rows that were made here, and what they hold: it is sent without being opened again. Gone with its row, never printed. */
const MADE = new WeakMap<OutboxRow, OutgoingRecord>();

/** A record on its way out as it lies in the database: sealed, so that no reference is there in clear. */
export function outboxRow(
  record: OutgoingRecord,
  place: { readonly connectionId: string | null; readonly revision: number; readonly nowMs: number },
  ring: Sealer,
): OutboxRow {
  const packed: PackedRecord = { ...record, value: record.value?.toString('utf8') ?? null, isJudged: true };
  const row: OutboxRow = {
    id: randomUUID(),
    connectionId: place.connectionId,
    stream: record.stream,
    revision: place.revision,
    payload: toSealed(ring.seal(JSON.stringify(packed))),
    createdAtMs: place.nowMs,
    sentAtMs: null,
  };
  MADE.set(row, record);
  return row;
}

/** A row that was opened. */
export interface Opened {
  readonly id: string;
  readonly revision: number;
  readonly record: OutgoingRecord;
  /** False: a secured event of an earlier version. The relay judges it; nobody else sends it. */
  readonly isJudged: boolean;
}

/** Rows as they are sent, without those that no key opens, of which `onUnpublished` is told. */
export function openOutgoing(
  rows: readonly OutboxRow[],
  ring: Sealer,
  onUnpublished: (error: WorkerError) => void,
): Opened[] {
  return rows.flatMap((row) => {
    try {
      return [opened(row, ring)];
    } catch {
      const whose = row.connectionId === null ? 'of no connection' : `of connection ${row.connectionId}`;
      const message = `no key of FERNET_KEY opens an unsent record (${row.stream}) ${whose}`;
      onUnpublished(new WorkerError('KEY_MISSING', message));
      return [];
    }
  });
}

export function outgoingRecord(row: OutboxRow, ring: Sealer): OutgoingRecord {
  return opened(row, ring).record;
}

function opened(row: OutboxRow, ring: Sealer): Opened {
  const { id, revision } = row;
  const made = MADE.get(row);
  if (made !== undefined) return { id, revision, record: made, isJudged: true };
  const { isJudged, value, ...packed } = JSON.parse(ring.open(tokenOf(row.payload))) as PackedRecord;
  return {
    id,
    revision,
    record: { ...packed, value: value === null ? null : Buffer.from(value, 'utf8') },
    isJudged: isJudged === true || packed.stream !== 'secured',
  };
}
