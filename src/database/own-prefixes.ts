import { In, IsNull } from 'typeorm';
import { ConfigurationError } from '../errors.js';
import type { Database, Transaction } from './database.js';
import { lockManagerEpoch } from './manager-epoch.js';
import type { ConnectionRow, ReferenceRow } from './rows.js';
import { OWN_PREFIXES, type DatabaseIdentity } from './settings.js';

export type OwnPrefixes = Pick<DatabaseIdentity, 'ownPrefixes' | 'managerEpoch'>;

/**
 * Remembers what secret ids begin with from this start on, and returns all that this database ever worked with: under a
 * former cluster name or prefix there are secrets still, which no user may refer to. A database that has no list yet is
 * asked for the ids it has.
 *
 * A new prefix begins a new epoch, as a new manager does. It waits for the transactions under way, and workers that do
 * not know the prefix stop. So a reference to a name under it is either in the database before the first secret is
 * created there, which is looked for here, or it comes to a worker that refuses it: the two never pass each other.
 *
 * Until now names under a new prefix were a user's own business. A connection that refers to one would get the secret that
 * is created there, in whatever spelling it has been published; so nothing is remembered while there is one.
 *
 * @param refersToOwn whether a connection refers to a name under one of these prefixes, in a field or anywhere else
 * @throws ConfigurationError CONFIG_INVALID naming connections that refer to names under the new prefix
 */
export async function rememberOwnPrefix(
  database: Database,
  current: string,
  { managerEpoch }: Pick<DatabaseIdentity, 'managerEpoch'>,
  refersToOwn: RefersToOwn,
): Promise<OwnPrefixes> {
  const known = await database.run(readOwnPrefixes);
  if (known?.includes(current) === true) return { ownPrefixes: known, managerEpoch };
  return database.transaction(async (tx) => {
    const epoch = await lockManagerEpoch(tx, 'update');
    const before = await readOwnPrefixes(tx);
    if (before !== null && !before.includes(current)) await requireUnreferred(tx, current, refersToOwn);
    const all = [...new Set([...(before ?? (await prefixesInUse(tx, current))), current])];
    await tx.manager.upsert(tx.tables.setting, { name: OWN_PREFIXES, value: JSON.stringify(all) }, ['name']);
    // Somebody else has changed the manager meanwhile: the old epoch is refused at the first transaction.
    const isNew = before !== null && !before.includes(current) && epoch === managerEpoch;
    if (!isNew) return { ownPrefixes: all, managerEpoch };
    const value = String(epoch + 1);
    await tx.manager.update(tx.tables.setting, { name: 'manager_epoch' }, { value });
    return { ownPrefixes: all, managerEpoch: epoch + 1 };
  });
}

/** @param references those of users, which the connection does not own */
export type RefersToOwn = (
  connection: ConnectionRow,
  references: readonly ReferenceRow[],
  ownPrefixes: readonly string[],
) => boolean;

const PAGE = 200;
const MOST_NAMED = 10;

async function requireUnreferred(tx: Transaction, prefix: string, refersToOwn: RefersToOwn): Promise<void> {
  const referring: string[] = [];
  for (let after = ''; ;) {
    const connections = await tx.manager
      .createQueryBuilder(tx.tables.connection, 'connection')
      .where("connection.id > :after AND connection.state IN ('live', 'softDeleted')", { after })
      .orderBy('connection.id')
      .limit(PAGE)
      .getMany();
    const last = connections.at(-1);
    if (last === undefined) break;
    const references = await tx.manager.find(tx.tables.reference, {
      where: { connectionId: In(connections.map(({ id }) => id)), holds: 'reference', secretId: IsNull() },
    });
    for (const connection of connections) {
      const own = references.filter(({ connectionId }) => connectionId === connection.id);
      if (refersToOwn(connection, own, [prefix])) referring.push(connection.id);
    }
    after = last.id;
  }
  if (referring.length === 0) return;
  const more = referring.length > MOST_NAMED ? ', …' : '';
  throw new ConfigurationError(
    'CONFIG_INVALID',
    `OPENMETADATA_CLUSTER_NAME, SECRET_MANAGER_PREFIX: secrets would be created under ${prefix}, and ${referring.length} ` +
      `connection(s) refer to names there already (${referring.slice(0, MOST_NAMED).join(', ')}${more}): they would get the ` +
      'secrets of others. Publish them without these references first, or choose other names',
  );
}

async function readOwnPrefixes({ manager, tables }: Transaction): Promise<readonly string[] | null> {
  const row = await manager.findOneBy(tables.setting, { name: OWN_PREFIXES });
  return row === null ? null : (JSON.parse(row.value) as string[]);
}

/** Of a database from before the list: an id is prefix, kind and rest, and its connection knows the kind. */
async function prefixesInUse({ manager, tables }: Transaction, current: string): Promise<string[]> {
  const rows = await manager
    .createQueryBuilder(tables.storedSecret, 'secret')
    .select('secret.secretId', 'secretId')
    .addSelect('connection.kind', 'kind')
    .innerJoin(tables.connection.options.name, 'connection', 'connection.id = secret.connectionId')
    .where('connection.kind IS NOT NULL')
    .getRawMany<{ secretId: string; kind: string }>();
  const prefixes = rows.flatMap(({ secretId, kind }) =>
    secretId.startsWith(current) ? [] : (prefixBefore(secretId, kind) ?? []),
  );
  return [...new Set(prefixes)];
}

/** Up to the first level of this name: where a name comes twice, the shorter prefix, which covers the longer one. */
function prefixBefore(secretId: string, kind: string): string | null {
  const separators = secretId.startsWith('/') ? ['/'] : ['-', '_'];
  for (const separator of separators) {
    const at = secretId.indexOf(separator + kind + separator, 1);
    if (at > 0) return secretId.slice(0, at + 1);
  }
  return null;
}
