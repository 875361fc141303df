import { createHmac } from 'node:crypto';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { tokenOf } from '../fernet/key-ring.js';
import { sha256Hex } from '../hash.js';
import type { SecretValue } from '../secret-value.js';
import { FERNET_PREFIX, SECRET_PREFIX, type EventOrder, type Reference } from '../terms.js';
import type { PlanContext, Sealer } from './context.js';

/**
 * A keyed fingerprint over connection, path and value. Equal passwords of two fields have different ones, so nobody can
 * tell from the database that they are equal, or move a row to another field.
 */
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

/** The text in each row that this process made, so that reading it needs no opening. Goes with its row; never printed. */
const MADE = new WeakMap<ReferenceRow, string>();

/** The row of a field that refers to a secret; the reference is sealed under the database's key. */
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
 * The row of a field whose value is stored in the database.
 *
 * @param value null: it is not read yet, and this row must not be written
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

/** The row with another token of the same text. A row that somebody has altered keeps its digest, so it stays altered. */
export function resealedRow(row: ReferenceRow, sealed: string, fingerprintKey: Buffer): ReferenceRow {
  const resealed = { ...row, sealed };
  return isUnaltered(row, fingerprintKey) ? withDigest(resealed, fingerprintKey) : resealed;
}

/** Gives a row of an earlier version its digest. A row that does not hold its own value or name stays without one. */
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
 * A keyed digest over every column that decides what a row resolves to and who owns that. `pointer` and `setOrder` are not
 * in it: newer events change them while the value stays.
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

/** @throws EventError REFERENCE_ALTERED if another program has written or changed the row */
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

/** What {@link emittedReference} needs besides the rows. */
export interface EmitContext {
  readonly fingerprintKey: Buffer;
  readonly rings: Pick<PlanContext['rings'], 'database' | 'ingestion' | 'outbox'>;
  readonly output: Pick<PlanContext['output'], 'references'>;
}

/**
 * What a secured event has in place of the value: the reference, plain or sealed for the ingestion workers. If the value is
 * stored in the database: the value, sealed under their key. One revision always has the same text, so that its record can
 * be made again.
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

/** The reference that a manager resolves: `secret:` + id, or the token that holds the value. */
export function storedReference(row: ReferenceRow, context: RowContext): Reference {
  const text = openedRow(row, context);
  return (row.holds === 'reference' ? text : row.sealed) as Reference;
}

/** The keys that seal and open a row, and check that it is as it was written. */
interface RowContext {
  readonly rings: Pick<PlanContext['rings'], 'database'>;
  readonly fingerprintKey: Buffer;
}

/**
 * The text that a row holds: a reference or a value.
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
 * Checks a row that was written before rows had digests: a value by its fingerprint, a reference by the columns that repeat
 * it. A value that was copied from another field has no fingerprint, and passes.
 */
export function isRowsOwn(row: ReferenceRow, text: string, fingerprintKey: Buffer): boolean {
  const { holds, fingerprint, connectionId, path, secretId, referenceHash } = row;
  if (holds === 'value')
    return fingerprint === null || fingerprintOf(fingerprintKey, connectionId, path, text) === fingerprint;
  if (secretId !== null && text !== toReference(secretId)) return false;
  return text.startsWith(SECRET_PREFIX) && sha256Hex(text.slice(SECRET_PREFIX.length)) === referenceHash;
}

/**
 * The id that a user's reference names. Null: the secret is ours, the row holds the value itself, or no key opens the token
 * (then nobody can send it).
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
