import { createHmac } from 'node:crypto';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { tokenOf } from '../fernet/key-ring.js';
import { sha256Hex } from '../hash.js';
import type { SecretValue } from '../secret-value.js';
import { FERNET_PREFIX, SECRET_PREFIX, type EventOrder, type Reference } from '../terms.js';
import type { PlanContext, Sealer } from './context.js';

/** Keyed, so that equal passwords are not recognised in the database, by connection and path, so that none can be moved. */
export function fingerprintOf(key: Buffer, connectionId: string, path: string, value: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([connectionId, path, value]), 'utf8')
    .digest('hex');
}

interface ReferenceDraft {
  readonly connectionId: string;
  readonly path: string;
  readonly pointer: string;
  readonly setOrder: EventOrder;
  readonly content: {
    readonly holds: 'reference';
    readonly secretId: string;
    readonly owned: boolean;
    readonly fingerprint: string | null;
  };
}

/** Rows that were made here, and what they hold: it is not opened again. Gone with its row, never printed. */
const MADE = new WeakMap<ReferenceRow, string>();

/** The row of a field that names a secret, as it lies in the database: sealed under the database's key. */
export function referenceRow(draft: ReferenceDraft, context: RowContext): ReferenceRow {
  const { connectionId, path, pointer, setOrder, content } = draft;
  const { secretId, owned, fingerprint } = content;
  const text = toReference(secretId);
  const row = {
    connectionId,
    pathHash: sha256Hex(path),
    path,
    pointer,
    setOrder,
    holds: 'reference' as const,
    sealed: seal(context.rings.database, text),
    owned,
    fingerprint,
    referenceHash: sha256Hex(secretId),
    secretId: owned ? secretId : null,
  };
  return madeRow(row, text, context);
}

/**
 * The row of a field whose value stays with us.
 *
 * @param value null: it is not read yet, and the row not to be written like this
 */
export function valueRow(
  { connectionId, path, pointer, setOrder }: Omit<ReferenceDraft, 'content'>,
  value: SecretValue | null,
  fingerprint: string | null,
  context: RowContext,
): ReferenceRow {
  const text = value?.reveal() ?? null;
  const row = {
    connectionId,
    pathHash: sha256Hex(path),
    path,
    pointer,
    setOrder,
    holds: 'value' as const,
    sealed: text === null ? '' : seal(context.rings.database, text),
    owned: true,
    fingerprint,
    referenceHash: null,
    secretId: null,
  };
  return madeRow(row, text, context);
}

function madeRow(
  draft: Omit<ReferenceRow, 'digest'>,
  text: string | null,
  { fingerprintKey }: RowContext,
): ReferenceRow {
  const row = withDigest(draft, fingerprintKey);
  if (text !== null) MADE.set(row, text);
  return row;
}

/** The row under another token of the same text. One that somebody has altered stays what it is. */
export function resealedRow(row: ReferenceRow, sealed: string, fingerprintKey: Buffer): ReferenceRow {
  const resealed = { ...row, sealed };
  return isUnaltered(row, fingerprintKey) ? withDigest(resealed, fingerprintKey) : resealed;
}

/** A row of an earlier version with the digest that it gets now; without one where it does not hold its own. */
export function firstDigest(row: ReferenceRow, { rings, fingerprintKey }: RowContext): ReferenceRow {
  try {
    const text = openOrRefuse(row, rings.database);
    return isRowsOwn(row, text, fingerprintKey) ? withDigest(row, fingerprintKey) : row;
  } catch {
    return row;
  }
}

function withDigest(row: Omit<ReferenceRow, 'digest'>, fingerprintKey: Buffer): ReferenceRow {
  return { ...row, digest: digestOf(row, fingerprintKey) };
}

/**
 * Keyed, over all that decides what a row resolves to and whose that is. Not over `pointer` and `setOrder`: like the rest
 * of the entity they are what the newest event says, and go on changing while the value stays.
 */
function digestOf(row: Omit<ReferenceRow, 'digest'>, fingerprintKey: Buffer): string {
  const { connectionId, path, holds, sealed, owned, fingerprint, referenceHash, secretId } = row;
  const digested = [connectionId, path, holds, sealed, owned, fingerprint, referenceHash, secretId];
  return createHmac('sha256', fingerprintKey)
    .update(JSON.stringify(['reference-digest/1', ...digested]), 'utf8')
    .digest('hex');
}

/** Whether a row is as this program wrote it. */
export function isUnaltered(row: ReferenceRow, fingerprintKey: Buffer): boolean {
  return row.digest === digestOf(row, fingerprintKey);
}

/** @throws EventError REFERENCE_ALTERED where somebody else has written the row, or changed it */
export function requireUnaltered(row: ReferenceRow, fingerprintKey: Buffer): void {
  if (isUnaltered(row, fingerprintKey)) return;
  throw new EventError(
    'REFERENCE_ALTERED',
    `${row.pointer} of connection ${row.connectionId}: its row is not as it was written`,
    row.pointer,
  );
}

export function toReference(secretId: string): Reference {
  return `${SECRET_PREFIX}${secretId}`;
}

/** What {@link emittedReference} needs of its surroundings. */
export interface EmitContext {
  readonly fingerprintKey: Buffer;
  readonly rings: Pick<PlanContext['rings'], 'database' | 'ingestion' | 'outbox'>;
  readonly output: Pick<PlanContext['output'], 'references'>;
}

/**
 * What stands in a secured event in place of the value: the reference, plain or sealed for the ingestion workers; where
 * the value stays with us, its token under their key. One revision always has the same text, so that the record can be
 * made again.
 */
export function emittedReference(
  row: ReferenceRow,
  { revision, updatedAtMs }: Pick<ConnectionRow, 'revision' | 'updatedAtMs'>,
  context: EmitContext,
): Reference {
  const { rings, output } = context;
  const text = openedRow(row, context);
  if (row.holds === 'reference' && output.references === 'plain') return text as Reference;
  const place = `${row.connectionId} ${revision} ${row.pointer}`;
  return `${FERNET_PREFIX}${rings.ingestion.sealRepeatably(text, place, updatedAtMs)}`;
}

/** The reference a store resolves: `secret:` + id, or the token that holds the value. */
export function storedReference(row: ReferenceRow, context: RowContext): Reference {
  const text = openedRow(row, context);
  return (row.holds === 'reference' ? text : row.sealed) as Reference;
}

/** What seals and opens a row, and tells whether it is as it was written. */
interface RowContext {
  readonly rings: Pick<PlanContext['rings'], 'database'>;
  readonly fingerprintKey: Buffer;
}

/**
 * What a row holds.
 *
 * @throws EventError REFERENCE_ALTERED, REFERENCE_NOT_OPENED
 */
function openedRow(row: ReferenceRow, { rings, fingerprintKey }: RowContext): string {
  const made = MADE.get(row);
  if (made !== undefined) return made;
  requireUnaltered(row, fingerprintKey);
  return openOrRefuse(row, rings.database);
}

function openOrRefuse(
  { sealed, pointer, connectionId }: ReferenceRow,
  database: Pick<Sealer, 'open'>,
): string {
  try {
    return database.open(tokenOf(sealed));
  } catch {
    throw new EventError(
      'REFERENCE_NOT_OPENED',
      `${pointer} of connection ${connectionId}: no key of FERNET_KEY opens what its row holds`,
      pointer,
    );
  }
}

/**
 * All that can be told of a row from before the digests: a value by the keyed fingerprint of connection, path and value, a
 * name by the columns that repeat it. A value that was copied from elsewhere has no fingerprint.
 */
export function isRowsOwn(row: ReferenceRow, text: string, fingerprintKey: Buffer): boolean {
  const { holds, fingerprint, connectionId, path, secretId, referenceHash } = row;
  if (holds === 'value')
    return fingerprint === null || fingerprintOf(fingerprintKey, connectionId, path, text) === fingerprint;
  if (secretId !== null && text !== toReference(secretId)) return false;
  return text.startsWith(SECRET_PREFIX) && sha256Hex(text.slice(SECRET_PREFIX.length)) === referenceHash;
}

/**
 * The id that a user's reference names; null for one of ours, where the value itself is kept, and where no key opens the
 * token (nobody can send it then).
 */
export function externalIdOf(
  row: Pick<ReferenceRow, 'owned' | 'holds' | 'sealed'>,
  database: Pick<Sealer, 'open'>,
): string | null {
  if (row.owned || row.holds !== 'reference') return null;
  try {
    return database.open(tokenOf(row.sealed)).slice(SECRET_PREFIX.length);
  } catch {
    return null;
  }
}

function seal(ring: Sealer, text: string): `fernet:${string}` {
  return `${FERNET_PREFIX}${ring.seal(text)}`;
}
