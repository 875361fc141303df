import type { Database } from '../database/database.js';
import { FINGERPRINT_KEY } from '../database/fingerprint-key.js';
import { findTokens, rawToken, TOKEN_TABLES, type StoredToken, type TokenTable } from '../database/tokens.js';

/** A key list that recognises its tokens. */
export interface TokenKeys {
  /** The setting that the keys come from. */
  readonly name: string;
  /** Index of the key that made a token; null if none of the list did. */
  indexOf(token: string): number | null;
}

/** The key lists for the tokens in the database. */
export interface DatabaseKeys<K extends TokenKeys = TokenKeys> {
  readonly database: K;
  readonly deadLetter: K;
  readonly outbox: K;
  readonly fingerprint: K;
}

/** How many tokens of one place each sort of key made. */
interface TokenCounts {
  /** Made by the first key of the list. */
  readonly current: number;
  /** Made by another key of the list. */
  readonly old: number;
  /** Made by no key of the list, so nobody can open them. */
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

/** The key list for a stored token. */
export function keysFor<K extends TokenKeys>(stored: StoredToken, keys: DatabaseKeys<K>): K {
  // Until the rows have digests, the fingerprint key is sealed with the database's own list.
  const isBound = stored.key['name'] === FINGERPRINT_KEY && keys.fingerprint.indexOf(stored.text) !== null;
  return stored.table === 'setting' && isBound ? keys.fingerprint : keysOf(stored.table, keys);
}

export function ageOf(keys: TokenKeys, token: string): keyof TokenCounts {
  const index = keys.indexOf(token);
  if (index === null) return 'unknown';
  return index === 0 ? 'current' : 'old';
}

/** Counts the tokens of these tables by the key that made them. It checks their MACs only and opens none. */
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
