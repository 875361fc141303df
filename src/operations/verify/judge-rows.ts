import type { ReferenceRow, StoredSecretRow } from '../../database/rows.js';
import type { RecordedConnection } from '../../database/verify-pages.js';
import { tokenOf } from '../../fernet/index.js';
import { refusalOfStored, type OthersSecrets, type OwnNames } from '../../pipeline/reference-refusals.js';
import { isRowsOwn, isUnaltered } from '../../pipeline/references.js';
import type { Finding, FindingKind } from './finding.js';

/** Opens what the database holds. */
export interface TokenRing {
  open(token: string): string;
}

export function finding(
  kind: FindingKind,
  place: Partial<Pick<Finding, 'manager' | 'connectionId' | 'path' | 'secretId'>>,
  detail: string,
): Finding {
  const { manager = null, connectionId = null, path = null, secretId = null } = place;
  return { kind, manager, connectionId, path, secretId, detail, state: 'open' };
}

/** Live secrets, each with the field that refers to it; those in doubt and those under way are somebody's work already. */
export function settledSecrets({ stored, references }: RecordedConnection): {
  readonly row: StoredSecretRow;
  readonly field: ReferenceRow | undefined;
}[] {
  return stored
    .filter((row) => row.state === 'live' && row.suspectUntilMs === null)
    .map((row) => ({ row, field: references.find(({ secretId }) => secretId === row.secretId) }));
}

/** The text a reference row holds, or null where no key opens it. */
export function openText({ sealed }: ReferenceRow, ring: TokenRing): string | null {
  try {
    return ring.open(tokenOf(sealed));
  } catch {
    return null;
  }
}

/** References that may not go out, whoever took them in. @param secrets those whose names are read in them, of whatever connection */
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
  /** False: the first start after a version without digests is yet to come. */
  readonly hasDigests: boolean;
}

/** Whether somebody else has written a row or changed it. @param text what the row holds */
export function isAltered(row: ReferenceRow, text: string, { fingerprintKey, hasDigests }: RowKeys): boolean {
  return hasDigests ? !isUnaltered(row, fingerprintKey) : !isRowsOwn(row, text, fingerprintKey);
}

/** What the rows of one connection say by themselves. */
export function judgeRows(recorded: RecordedConnection, keys: RowKeys): Finding[] {
  const { connection, references, stored } = recorded;
  const connectionId = connection.id;
  const found: Finding[] = [];
  for (const row of references) {
    const { path, secretId } = row;
    const place = { manager: connection.manager, connectionId, path, secretId };
    const text = openText(row, keys.ring);
    if (text === null)
      found.push(finding('token', place, `its ${row.holds} is opened by no key of FERNET_KEY`));
    else if (isAltered(row, text, keys))
      found.push(finding('altered', place, `its row with a ${row.holds} is not as it was written`));
    const isRecorded = stored.some(
      (secret) => secret.secretId === secretId && (secret.state === 'live' || secret.state === 'writing'),
    );
    if (secretId !== null && !isRecorded)
      found.push(finding('unrecorded', place, 'no live row of stored_secret has its name'));
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
