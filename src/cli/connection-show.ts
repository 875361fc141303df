import { openFieldFinder } from '../worker/worker.js';
import { withValues } from '../catalog/index.js';
import type { Config, KeyConfig } from '../config.js';
import type { Database, Transaction } from '../database/database.js';
import type { ConnectionRow, ReferenceRow } from '../database/rows.js';
import { openIdentity } from '../database/settings.js';
import { SHORTEST_PREFIX, theOne, type Nameable } from '../database/the-one.js';
import { tokenOf } from '../fernet/index.js';
import { isUnaltered } from '../pipeline/references.js';
import { MASK, SECRET_PREFIX, type EntityRoot, type JsonObject, type Kind } from '../terms.js';
import { isoTime } from './text.js';

export type ShownConnection = Awaited<ReturnType<typeof showConnection>>;

/**
 * What is known of one connection, without values.
 * @throws ConfigurationError USAGE_INVALID where none is meant by its id, its first characters or its name, or several are
 */
export async function showConnection(database: Database, given: string, config: Config<never>) {
  const { row, references } = await database.run(async (tx) => {
    const { id } = theOne(given, await mayBeMeant(tx, given), 'connections');
    const { manager, tables } = tx;
    return {
      row: await manager.findOneByOrFail(tables.connection, { id }),
      references: await manager.findBy(tables.reference, { connectionId: id }),
    };
  });
  const fingerprintKey = await fingerprintKeyOf(database, config.keys);
  return {
    ...factsOf(row),
    createdAt: isoTime(row.createdAtMs),
    updatedAt: isoTime(row.updatedAtMs),
    secretFields: references
      .map((reference) => shownField(reference, config.keys, fingerprintKey))
      .sort((left, right) => (left.path < right.path ? -1 : 1)),
    /** With every secret field masked; null where there is none. */
    entity: maskedEntity(row, config),
  };
}

/** A few more than are named where several are. */
const CANDIDATES = 100;

async function mayBeMeant({ manager, tables }: Transaction, given: string): Promise<Nameable[]> {
  const rows = await manager
    .createQueryBuilder(tables.connection, 'connection')
    .select(['connection.id', 'connection.name', 'connection.fullyQualifiedName'])
    .where("connection.state <> 'new'")
    .andWhere(
      `(connection.id = :given OR connection.name = :given OR connection.fullyQualifiedName = :given
        OR connection.id LIKE :prefix ESCAPE '!')`,
      { given, prefix: given.length < SHORTEST_PREFIX ? '' : `${given.replace(/[!%_]/g, '!$&')}%` },
    )
    .orderBy('connection.id')
    .limit(CANDIDATES)
    .getMany();
  return rows.map(({ id, name, fullyQualifiedName }) => ({
    id,
    name: name === given ? name : fullyQualifiedName,
  }));
}

function factsOf(row: ConnectionRow) {
  const { id, entityType, kind, serviceType, name, fullyQualifiedName, version } = row;
  const { state, manager, revision, operation, eventId } = row;
  return {
    ...{ id, entityType, kind, serviceType, name, fullyQualifiedName, version },
    ...{ state, manager, revision, operation, eventId },
  };
}

/** Null where there is none to tell altered rows by. */
async function fingerprintKeyOf(database: Database, keys: KeyConfig | null): Promise<Buffer | null> {
  const identity = keys === null ? null : await openIdentity(database, keys).catch(() => null);
  return identity?.hasDigests === true ? identity.fingerprintKey : null;
}

function shownField(row: ReferenceRow, keys: KeyConfig | null, fingerprintKey: Buffer | null) {
  return {
    /** JSON Pointer into the entity. */
    path: row.pointer,
    owned: row.owned,
    keptIn: row.holds === 'reference' ? 'store' : 'database',
    /** `secret:` and the id; null where the database itself keeps the value, or no key opens the reference. */
    reference: row.holds === 'reference' ? referenceText(row, keys) : null,
    /** Somebody else has written or changed its row: it is refused. Null where that cannot be told without the keys. */
    altered: fingerprintKey === null ? null : !isUnaltered(row, fingerprintKey),
  };
}

/** An owned id stands in the row; a user's reference is sealed there. */
function referenceText({ secretId, sealed }: ReferenceRow, keys: KeyConfig | null): string | null {
  if (secretId !== null) return SECRET_PREFIX + secretId;
  try {
    const text = keys?.database.open(tokenOf(sealed)) ?? null;
    return text?.startsWith(SECRET_PREFIX) === true ? text : null;
  } catch {
    return null;
  }
}

/**
 * The entity lies masked in the database, but for what `SECRET_BY_NAME=report` or an excluded path left in it: shown to
 * people it is masked by every rule there is. Where the rules cannot be applied nothing is shown.
 */
function maskedEntity(row: ConnectionRow, config: Config<never>): JsonObject | null {
  if (row.entity === null || row.root === null || row.kind === null) return null;
  try {
    const entity = JSON.parse(row.entity) as JsonObject;
    const rules = {
      ...config.rules,
      secretByName: 'externalise',
      unknownConnector: 'heuristic',
      excludedPaths: [],
    } as const;
    const { fields } = openFieldFinder({ ...config, rules }).find({
      root: row.root as EntityRoot,
      kind: row.kind as Kind,
      serviceType: row.serviceType,
      entity,
    });
    return withValues(
      entity,
      fields
        .filter(({ value, onlyIfStored }) => value !== null && !onlyIfStored)
        .map(({ path }) => [path, MASK] as const),
    );
  } catch {
    return null;
  }
}
