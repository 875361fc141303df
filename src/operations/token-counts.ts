import type { Database } from '../database/database.js';
import { FINGERPRINT_KEY } from '../database/fingerprint-key.js';
import { findTokens, rawToken, TOKEN_TABLES, type StoredToken, type TokenTable } from '../database/tokens.js';

/** What a key list says of tokens: index of the key that made one; null where none of the list did. */
export interface TokenKeys {
  /** The setting it comes from. */
  readonly name: string;
  indexOf(token: string): number | null;
}

/** Which list opens what lies in the database. */
export interface DatabaseKeys<K extends TokenKeys = TokenKeys> {
  readonly database: K;
  readonly deadLetter: K;
  readonly outbox: K;
  readonly fingerprint: K;
}

/** Which key made the tokens of one place. */
export interface TokenCounts {
  /** The first key of the list. */
  readonly current: number;
  /** Another one of the list. */
  readonly old: number;
  /** None of the list: nobody can open these. */
  readonly unknown: number;
}

export interface PlaceCounts extends TokenCounts {
  /** A table, `local vault` or the topic. */
  readonly place: string;
  /** The setting whose keys open it. */
  readonly keys: string;
}

function keysOf<K extends TokenKeys>(table: TokenTable, keys: DatabaseKeys<K>): K {
  if (table === 'dead_letter') return keys.deadLetter;
  return table === 'outbox' ? keys.outbox : keys.database;
}

/** The list that is for a token. */
export function keysFor<K extends TokenKeys>(stored: StoredToken, keys: DatabaseKeys<K>): K {
  // Until the rows have their digests the key of these lies under the database's list itself.
  const isBound = stored.key['name'] === FINGERPRINT_KEY && keys.fingerprint.indexOf(stored.text) !== null;
  return stored.table === 'setting' && isBound ? keys.fingerprint : keysOf(stored.table, keys);
}

export function ageOf(keys: TokenKeys, token: string): keyof TokenCounts {
  const index = keys.indexOf(token);
  if (index === null) return 'unknown';
  return index === 0 ? 'current' : 'old';
}

/** Looks at every token of these tables; tries the keys' signatures and opens none. */
export async function countTables(
  database: Database,
  keys: DatabaseKeys,
  signal: AbortSignal,
  tables: readonly TokenTable[] = TOKEN_TABLES,
): Promise<PlaceCounts[]> {
  const counted: PlaceCounts[] = [];
  for (const table of tables) {
    const counts = { current: 0, old: 0, unknown: 0 };
    await eachToken(database, table, signal, (token) => {
      counts[ageOf(keysFor(token, keys), rawToken(token))] += 1;
    });
    counted.push({ place: table, keys: keysOf(table, keys).name, ...counts });
  }
  return counted;
}

async function eachToken(
  database: Database,
  table: TokenTable,
  signal: AbortSignal,
  look: (token: StoredToken) => void,
): Promise<void> {
  for (let after: string | null = ''; after !== null && !signal.aborted;) {
    const from: string = after;
    const page = await database.run((tx) => findTokens(tx, table, from));
    page.tokens.forEach(look);
    after = page.next;
  }
}
