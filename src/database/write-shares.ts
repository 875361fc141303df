import type { ManagerName } from '../terms.js';
import { nowSql, type Database, type Transaction } from './database.js';
import { DatabaseError } from './errors.js';
import type { WriteShareEntry } from './rows.js';

/** How often somebody else may be faster: each process comes about once a second, for as long as two statements take. */
const TRIES = 20;

/**
 * Changes what processes hold of the writes to a manager's store, as one step. One row of `setting` for each store that is
 * written to, replaced only where it still is what was read: no transaction is open meanwhile, so a process that is stopped
 * in between holds no lock that the others wait for.
 *
 * @param change called with all entries, expired ones too, and the database's time; again where somebody else was faster
 * @throws DatabaseError
 */
export async function changeWriteShares<T extends { readonly shares: readonly WriteShareEntry[] }>(
  database: Database,
  store: ManagerName,
  change: (shares: readonly WriteShareEntry[], nowMs: number) => T,
): Promise<T> {
  const name = `write_shares/${store}`;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const changed = await database.run((tx) => tryChange(tx, name, change));
    if (changed !== null) return changed;
  }
  throw new DatabaseError('contention', null);
}

/** Null: somebody else has changed them meanwhile. */
async function tryChange<T extends { readonly shares: readonly WriteShareEntry[] }>(
  tx: Transaction,
  name: string,
  change: (shares: readonly WriteShareEntry[], nowMs: number) => T,
): Promise<T | null> {
  const { manager, tables, dialect } = tx;
  const place = dialect === 'postgres' ? '$1' : '?';
  const [read] = await manager.query<{ now: string | number; value: string | null }[]>(
    `SELECT ${nowSql(dialect)} AS now, (SELECT value FROM setting WHERE name = ${place}) AS value`,
    [name],
  );
  const value = read?.value ?? NONE;
  const changed = change(entriesOf(value), Number(read?.now));
  const after = JSON.stringify(changed.shares);
  if (after === value) return changed;
  if (read?.value === null)
    await manager
      .createQueryBuilder()
      .insert()
      .into(tables.setting)
      .values({ name, value: NONE })
      .orIgnore()
      .execute();
  const { affected } = await manager.update(tables.setting, { name, value }, { value: after });
  return affected === 1 ? changed : null;
}

const NONE = '[]';

/** A text that is no list of shares counts as an empty one: each process writes its share again within a second. */
function entriesOf(value: string): WriteShareEntry[] {
  try {
    const parsed: unknown = JSON.parse(value);
    return Array.isArray(parsed) ? parsed.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(entry: unknown): entry is WriteShareEntry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { process, limit, wanted, granted, expiresAtMs } = entry as Record<string, unknown>;
  const isRate = (rate: unknown): boolean => typeof rate === 'number' && rate >= 0;
  return typeof process === 'string' && [limit, wanted, granted, expiresAtMs].every(isRate);
}
