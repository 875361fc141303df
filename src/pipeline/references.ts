import { tokenOf } from '../fernet/sealed-text.js';
import type { ReferenceRow } from '../database/rows.js';
import { sha256Hex } from '../hash.js';
import type { SecretValue } from '../secret-value.js';
import { FERNET_PREFIX, SECRET_PREFIX, type EventOrder, type Reference } from '../terms.js';
import type { PlanContext, Sealer } from './context.js';

export interface ReferenceDraft {
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

/** The row of a field that names a secret, as it lies in the database: sealed under the database's key. */
export function referenceRow(draft: ReferenceDraft, ring: Sealer): ReferenceRow {
  const { connectionId, path, pointer, setOrder, content } = draft;
  const { secretId, owned, fingerprint } = content;
  return {
    connectionId,
    pathHash: sha256Hex(path),
    path,
    pointer,
    setOrder,
    holds: 'reference',
    sealed: seal(ring, toReference(secretId)),
    owned,
    fingerprint,
    referenceHash: sha256Hex(secretId),
    secretId: owned ? secretId : null,
  };
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
  ring: Sealer,
): ReferenceRow {
  return {
    connectionId,
    pathHash: sha256Hex(path),
    path,
    pointer,
    setOrder,
    holds: 'value',
    sealed: value === null ? '' : seal(ring, value.reveal()),
    owned: true,
    fingerprint,
    referenceHash: null,
    secretId: null,
  };
}

export function toReference(secretId: string): Reference {
  return `${SECRET_PREFIX}${secretId}`;
}

/** What {@link emittedReference} needs of its surroundings. */
export interface EmitContext {
  readonly rings: Pick<PlanContext['rings'], 'database' | 'ingestion'>;
  readonly output: Pick<PlanContext['output'], 'references'>;
}

/**
 * What stands in a secured event in place of the value: the reference, plain or sealed for the ingestion workers; where
 * the value stays with us, its token under their key.
 */
export function emittedReference(row: ReferenceRow, { rings, output }: EmitContext): Reference {
  const text = rings.database.open(tokenOf(row.sealed));
  if (row.holds === 'reference' && output.references === 'plain') return text as Reference;
  return seal(rings.ingestion, text);
}

/** The reference a store resolves: `secret:` + id, or the token that holds the value. */
export function storedReference(row: ReferenceRow, database: Sealer): Reference {
  return row.holds === 'reference'
    ? (database.open(tokenOf(row.sealed)) as Reference)
    : (row.sealed as Reference);
}

function seal(ring: Sealer, text: string): `fernet:${string}` {
  return `${FERNET_PREFIX}${ring.seal(text)}`;
}
