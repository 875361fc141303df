import type { ReferenceRow, StoredSecretRow } from '../../database/rows.js';
import type { RecordedConnection } from '../../database/verify-pages.js';
import { tokenOf } from '../../fernet/index.js';
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

/** What the rows of one connection say by themselves. */
export function judgeRows(recorded: RecordedConnection, ring: TokenRing): Finding[] {
  const { connection, references, stored } = recorded;
  const connectionId = connection.id;
  const found: Finding[] = [];
  for (const row of references) {
    const { path, secretId } = row;
    const place = { manager: connection.manager, connectionId, path, secretId };
    if (openText(row, ring) === null)
      found.push(finding('token', place, `its ${row.holds} is opened by no key of FERNET_KEY`));
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
