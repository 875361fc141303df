import { idPathOf } from '../catalog/place.js';
import { parsePointer } from '../catalog/json-pointer.js';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import type { SecretIdBuilder } from '../ids/index.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import type { EntityRoot, ManagerName, Reference } from '../terms.js';
import type { LockedState } from './ledger.js';

/** Where the value of a stored reference is, to be copied from. */
export type CopySource =
  /** In the database itself. */
  | { readonly kind: 'sealed'; readonly token: Reference }
  /**
   * In a store. The *recorded* version, whatever is current: a write that was not committed may lie above it, and the
   * fingerprint of the reference belongs to the recorded one. Null: none is recorded (an adopted secret).
   */
  | {
      readonly kind: 'stored';
      readonly manager: ManagerName;
      readonly secretId: string;
      readonly version: string | null;
    };

/**
 * Whether a field's value is where another manager than the active one keeps it. A connection has one manager and
 * changes it as a whole, so its row tells for all of them; what a user's reference names is not ours to move.
 */
export function isAway(
  row: ReferenceRow,
  { manager }: Pick<ConnectionRow, 'manager'>,
  active: Pick<SecretsManager, 'name' | 'keeps'>,
): boolean {
  if (!row.owned || manager === null || manager === active.name) return false;
  return !(row.holds === 'value' && active.keeps === 'database');
}

/**
 * The id of a stored field by its connection's name, told from the row alone: whether today's catalogue still finds the
 * field is not asked. Throws EventError SECRET_ID_INVALID.
 */
export function idOfStored(
  row: ReferenceRow,
  { id, kind, name, root }: ConnectionRow,
  ids: Pick<SecretIdBuilder, 'build'>,
): string {
  const idPath = idPathOf(parsePointer(row.path) ?? [], (root ?? 'service') as EntityRoot);
  return ids.build(kind ?? '', name ?? '', idPath, id);
}

/** Of an owned reference. */
export function sourceOf(row: ReferenceRow, { connection, stored }: LockedState): CopySource {
  if (row.holds === 'value') return { kind: 'sealed', token: row.sealed as Reference };
  const { manager } = connection;
  const { secretId } = row;
  if (manager === null || secretId === null)
    throw new TypeError(`the reference ${row.path} of connection ${row.connectionId} is not owned`);
  const secret = stored.find((one) => one.manager === manager && one.secretId === secretId);
  return { kind: 'stored', manager, secretId, version: secret?.version ?? null };
}
