import type { Database } from '../../database/database.js';
import { loadKnownNames, wasOnceRecorded } from '../../database/verify-pages.js';
import { toReference } from '../../pipeline/references.js';
import type { ListedSecret } from '../../secrets-managers/port.js';
import { MARKER_OWNER } from '../../secrets-managers/marker.js';
import type { ManagerName } from '../../terms.js';
import { finding, type Finding } from './finding.js';
import type { StoreReader } from './store-reader.js';

/** A secret whose tags say that it belongs to this installation. */
type OwnSecret = ListedSecret & { readonly ownedBy: string };

/** The secrets below our prefix that have tags of this program. */
export interface Owned {
  /** For each secret with the tag of this installation: the connection that its tags name. */
  readonly ownerById: ReadonlyMap<string, string>;
  /** How many belong to this installation, with its tag or from version 0.1. */
  readonly listed: number;
  /** Orphans, or that the store did not let us look for them. */
  readonly findings: readonly Finding[];
  /** How many belong to connections that this database does not know: those of another database in the same account. */
  readonly unknownConnections: number;
  /** How many belong to another installation of this program. */
  readonly otherInstallations: number;
}

export const ONCE_RECORDED = 'was recorded once';

/**
 * Lists the secrets with our tags and finds those that the database has no record of. It reads the rows *after* the list:
 * a worker records a name before it sends the first request, so a secret that it is writing is never taken for an orphan.
 */
export async function listOwned(
  database: Database,
  manager: ManagerName,
  reader: StoreReader,
  options: { readonly prefix: string; readonly connectionId: string | null; readonly signal: AbortSignal },
): Promise<Owned> {
  const ownerById = new Map<string, string>();
  const findings: Finding[] = [];
  let unknownConnections = 0;
  let otherInstallations = 0;
  let listed = 0;
  for (let after: string | null | undefined = null; after !== undefined && !options.signal.aborted;) {
    const page = await reader.list(options.prefix, after);
    if (page === null) break;
    if (!page.ok) {
      findings.push(finding('denied', { manager }, `orphans: ${page.error.message}`));
      break;
    }
    const { next }: { next: string | null } = page.value;
    const secrets = page.value.secrets.filter(({ ownedBy }) => ownedBy !== MARKER_OWNER);
    const ours = secrets.flatMap(({ ownedBy, ...secret }) =>
      ownedBy === null ? [] : [{ ...secret, ownedBy }],
    );
    otherInstallations += secrets.length - ours.length;
    listed += ours.length;
    for (const { secretId, ownedBy, installation } of ours)
      if (installation === 'ours') ownerById.set(secretId, ownedBy);
    const known = await database.run((tx) =>
      loadKnownNames(
        tx,
        manager,
        ours.map(({ secretId }) => secretId),
        ours.map(({ ownedBy }) => ownedBy),
      ),
    );
    for (const secret of ours) {
      const row = known.rows.get(secret.secretId);
      if (!known.connections.has(secret.ownedBy)) unknownConnections += row === undefined ? 1 : 0;
      else if (isAsked(secret, options.connectionId) && (row === undefined || row.state === 'deleted'))
        findings.push(...(await judgeOrphan(database, manager, reader, secret)));
    }
    after = next ?? undefined;
  }
  return { ownerById, listed, findings, unknownConnections, otherInstallations };
}

function isAsked({ ownedBy, scheduledForDeletion }: OwnSecret, connectionId: string | null): boolean {
  return !scheduledForDeletion && (connectionId === null || connectionId === ownedBy);
}

/** A list may be outdated, so this looks at the secret itself, and then at the database again. */
async function judgeOrphan(
  database: Database,
  manager: ManagerName,
  reader: StoreReader,
  { secretId, ownedBy }: OwnSecret,
): Promise<Finding[]> {
  const described = await reader.describe(toReference(secretId));
  if (!described.ok || described.value.ownedBy !== ownedBy || described.value.scheduledForDeletion) return [];
  return database.run(async (tx) => {
    const { rows } = await loadKnownNames(tx, manager, [secretId], [ownedBy]);
    const row = rows.get(secretId);
    if (row !== undefined && row.state !== 'deleted') return [];
    const isOwnRow = row?.connectionId === ownedBy;
    const isKnown = isOwnRow || (row === undefined && (await wasOnceRecorded(tx, ownedBy, secretId)));
    const detail = isKnown ? ONCE_RECORDED : 'no record of it';
    return [finding('orphan', { manager, connectionId: ownedBy, secretId }, detail)];
  });
}
