import { sha256Hex } from '../hash.js';
import type { EventOrder } from '../terms.js';
import { fingerprintOf } from './fingerprint.js';
import type { LockedState } from './ledger.js';
import type { PreparedEvent, PreparedField } from './prepare.js';
import { setsField } from './incoming.js';

/**
 * Pointers of the secrets that an event would set to something else than what is stored, where it is older by its time and
 * newer by its version: two clocks disagree, and one of the two states has the password that counts. Null: no such event.
 */
export function conflictOf(
  prepared: PreparedEvent,
  { connection, references }: LockedState,
  key: Buffer,
): readonly string[] | null {
  if (!disagrees(prepared, connection.appliedOrder)) return null;
  const { fields } = prepared;
  if (fields === null) return [];
  const rows = new Map(references.map((row) => [row.path, row]));
  const differs = ({ path, incoming }: PreparedField): boolean => {
    const row = rows.get(path);
    if (incoming.kind === 'text')
      return row?.fingerprint !== fingerprintOf(key, connection.id, path, incoming.value.reveal());
    if (incoming.kind === 'reference') return row?.referenceHash !== sha256Hex(incoming.secretId);
    return setsField(incoming);
  };
  const different = fields.filter(differs).map(({ found }) => found.pointer);
  return different.length === 0 ? null : different;
}

/** What was published before the applied state, as a replay hands it over, is nothing but old. */
function disagrees({ order, record }: PreparedEvent, applied: EventOrder | null): boolean {
  if (applied?.version == null || order.version === null) return false;
  const isBefore =
    record.digest === undefined &&
    order.topic === applied.topic &&
    order.partition === applied.partition &&
    order.offset < applied.offset;
  return !isBefore && order.version > applied.version && order.timestampMs < applied.timestampMs;
}
