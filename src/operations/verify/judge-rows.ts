import type { ReferenceRow, StoredSecretRow } from '../../database/rows.js';
import type { RecordedConnection } from '../../database/verify-pages.js';
import { tokenOf } from '../../fernet/index.js';
import { refusalOfStored, type OthersSecrets, type OwnNames } from '../../pipeline/reference-refusals.js';
import { isRowsOwn, isUnaltered } from '../../pipeline/references.js';
import { finding, type Finding } from './finding.js';

/** Opens the tokens in the database. */
interface TokenRing {
  open(token: string): string;
}

/**
 * Live secrets, each with the field that refers to it. Leaves out those in doubt and those being written: the janitor and
 * the workers take care of them.
 */
export function settledSecrets({ stored, references }: RecordedConnection): {
  readonly row: StoredSecretRow;
  readonly field: ReferenceRow | undefined;
}[] {
  return stored
    .filter((row) => row.state === 'live' && row.suspectUntilMs === null)
    .map((row) => ({ row, field: references.find(({ secretId }) => secretId === row.secretId) }));
}

/** The text of a reference row; null if no key opens it. */
export function openText({ sealed }: ReferenceRow, ring: TokenRing): string | null {
  try {
    return ring.open(tokenOf(sealed));
  } catch {
    return null;
  }
}

/**
 * Finds references that must not be published, whichever version accepted them.
 *
 * @param secrets the secrets, of any connection, whose names some reader may take these references for
 */
export function judgeReferences(
  { connection, references }: RecordedConnection,
  secrets: readonly StoredSecretRow[],
  { ids, ring }: { readonly ids: OwnNames; readonly ring: TokenRing },
): Finding[] {
  const others: OthersSecrets = secrets.filter(({ connectionId }) => connectionId !== connection.id);
  return references.flatMap((row) => {
    const refusal = refusalOfStored(row, others, { ids, rings: { database: ring } });
    if (refusal === null) return [];
    const { manager, id: connectionId } = connection;
    const place = { manager, connectionId, path: row.path, secretId: refusal.secretId };
    return [finding('foreign-reference', place, `${refusal.code}: ${refusal.why}`)];
  });
}

export interface RowKeys {
  readonly ring: TokenRing;
  readonly fingerprintKey: Buffer;
  /** False until the first start after a version whose rows had no digests. */
  readonly hasDigests: boolean;
}

/** Whether somebody else has written or changed a row. @param text the opened text of the row */
export function isAltered(row: ReferenceRow, text: string, { fingerprintKey, hasDigests }: RowKeys): boolean {
  return hasDigests ? !isUnaltered(row, fingerprintKey) : !isRowsOwn(row, text, fingerprintKey);
}

/** Finds what is wrong with the rows of one connection, without looking at a store. */
export function judgeRows(recorded: RecordedConnection, keys: RowKeys): Finding[] {
  const { connection, references, stored } = recorded;
  const connectionId = connection.id;
  const found: Finding[] = [];
  for (const row of references) {
    const { path, secretId } = row;
    const place = { manager: connection.manager, connectionId, path, secretId };
    const text = openText(row, keys.ring);
    if (text === null) found.push(finding('token', place, `no key of FERNET_KEY opens its ${row.holds}`));
    else if (isAltered(row, text, keys))
      found.push(finding('altered', place, `the row of its ${row.holds} is not as the worker wrote it`));
    const isRecorded = stored.some(
      (secret) => secret.secretId === secretId && (secret.state === 'live' || secret.state === 'writing'),
    );
    if (secretId !== null && !isRecorded)
      found.push(finding('unrecorded', place, 'the table stored_secret has no live row with its name'));
  }
  for (const { row, field } of settledSecrets(recorded))
    if (field === undefined) {
      const { manager, secretId } = row;
      found.push(
        finding(
          'unreferenced',
          { manager, connectionId, secretId },
          'live, and in no field of its connection',
        ),
      );
    }
  return found;
}
