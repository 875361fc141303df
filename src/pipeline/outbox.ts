import { randomUUID } from 'node:crypto';
import type { OutboxRow } from '../database/rows.js';
import { tokenOf, toSealed } from '../fernet/index.js';
import type { OutgoingRecord, Stream } from '../transport.js';
import type { Sealer } from './context.js';

interface PackedRecord {
  readonly stream: Stream;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A record on its way out as it lies in the database: sealed, so that no reference is there in clear. */
export function outboxRow(
  record: OutgoingRecord,
  place: { readonly connectionId: string | null; readonly revision: number; readonly nowMs: number },
  ring: Sealer,
): OutboxRow {
  const packed: PackedRecord = { ...record, value: record.value?.toString('utf8') ?? null };
  return {
    id: randomUUID(),
    connectionId: place.connectionId,
    stream: record.stream,
    revision: place.revision,
    payload: toSealed(ring.seal(JSON.stringify(packed))),
    createdAtMs: place.nowMs,
    sentAtMs: null,
  };
}

export function outgoingRecord(row: OutboxRow, ring: Sealer): OutgoingRecord {
  const packed = JSON.parse(ring.open(tokenOf(row.payload))) as PackedRecord;
  return { ...packed, value: packed.value === null ? null : Buffer.from(packed.value, 'utf8') };
}
