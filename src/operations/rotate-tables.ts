import type { Database, Transaction } from '../database/database.js';
import { lockFree } from '../database/take-free.js';
import { findTokens, rawToken, replaceToken, type StoredToken, type TokenTable } from '../database/tokens.js';
import { FernetError, toSealed } from '../fernet/index.js';
import { resealedRow } from '../pipeline/references.js';
import { ageOf, keysFor, type DatabaseKeys, type TokenKeys } from './token-counts.js';

/** A key list that can seal a token anew. */
interface RotatingKeys extends TokenKeys {
  /** Seals the text of a token with the first key, under the token's own time. @throws FernetError */
  rotate(token: string): string;
}

export interface RotationKeys {
  readonly keys: DatabaseKeys<RotatingKeys>;
  /** The key of the digests of references. */
  readonly fingerprintKey: Buffer;
}

interface RotatedPage {
  /** How many tokens were looked at. */
  readonly seen: number;
  readonly rotated: number;
  /** Connections under somebody's claim, which must be looked at again. */
  readonly busy: readonly string[];
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null;
}

/**
 * Seals one page of a table anew, in a transaction of its own.
 *
 * A worker with a claim has read the references of its connection, and its commit writes back those that stay. So
 * references are changed only under the row's lock of a connection that nobody has a claim on. In every table a token is
 * replaced only if it is still the one that was read.
 */
export function rotatePage(
  database: Database,
  table: TokenTable,
  keys: RotationKeys,
  after: string,
): Promise<RotatedPage> {
  return database.transaction(async (tx) => {
    const { tokens, next } = await findTokens(tx, table, after);
    if (table !== 'secret_reference')
      return { seen: tokens.length, rotated: await rotate(tx, tokens, keys), busy: [], next };
    const ids = [...new Set(tokens.map(connectionIdOf))];
    if (ids.length === 0) return { seen: 0, rotated: 0, busy: [], next };
    const free = await lockFree(tx, ids);
    // Read again under the lock: a worker may have committed since the first read.
    const { tokens: locked } = await findTokens(tx, table, after);
    const rotated = await rotate(
      tx,
      locked.filter((token) => free.has(connectionIdOf(token))),
      keys,
    );
    return { seen: tokens.length, rotated, busy: ids.filter((id) => !free.has(id)), next };
  });
}

async function rotate(
  tx: Transaction,
  tokens: readonly StoredToken[],
  { keys, fingerprintKey }: RotationKeys,
): Promise<number> {
  let rotated = 0;
  for (const stored of tokens) {
    const token = rawToken(stored);
    const ring = keysFor(stored, keys);
    if (ageOf(ring, token) !== 'old') continue;
    const renewed = renewedOrNull(ring, token);
    if (renewed === null) continue;
    const { reference } = stored;
    const more =
      reference === null ? {} : { digest: resealedRow(reference, toSealed(renewed), fingerprintKey).digest };
    if (await replaceToken(tx, stored, renewed, more)) rotated += 1;
  }
  return rotated;
}

/** Null for a genuine token that cannot be opened. It stays as it is, and the counts show it. */
function renewedOrNull(keys: RotatingKeys, token: string): string | null {
  try {
    return keys.rotate(token);
  } catch (error) {
    if (error instanceof FernetError) return null;
    throw error;
  }
}

function connectionIdOf({ key }: StoredToken): string {
  return key['connectionId'] ?? '';
}
