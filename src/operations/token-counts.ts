import type { Database } from '../database/database.js';
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

export function keysOf<K extends TokenKeys>(table: TokenTable, keys: DatabaseKeys<K>): K {
  return table === 'dead_letter' ? keys.deadLetter : keys.database;
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
      counts[ageOf(keysOf(table, keys), rawToken(token))] += 1;
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
