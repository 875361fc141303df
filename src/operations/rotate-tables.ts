import type { Database, Transaction } from '../database/database.js';
import { lockFree } from '../database/take-free.js';
import { findTokens, rawToken, replaceToken, type StoredToken, type TokenTable } from '../database/tokens.js';
import { FernetError, toSealed } from '../fernet/index.js';
import { resealedRow } from '../pipeline/references.js';
import { ageOf, keysFor, type DatabaseKeys, type TokenKeys } from './token-counts.js';

/** A key list that seals anew; the token's time is kept. */
export interface RotatingKeys extends TokenKeys {
  /** Throws FernetError. */
  rotate(token: string): string;
}

export interface RotationKeys {
  readonly keys: DatabaseKeys<RotatingKeys>;
  /** Of the digests of references. */
  readonly fingerprintKey: Buffer;
}

export interface RotatedPage {
  /** Tokens looked at. */
  readonly seen: number;
  readonly rotated: number;
  /** Connections that somebody works on: to be looked at again. */
  readonly busy: readonly string[];
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null;
}

/**
 * Seals one page of a table anew, in a transaction of its own.
 *
 * A worker that holds a claim has read the references of its connection, and its commit writes those that stay back as
 * it read them. So they are changed under the lock of a connection that nobody works on. Payloads are written once and
 * never again; all the same, a token is only replaced by its own other form, never what somebody has put there since.
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
    // Read again: what was read before the lock may be older than a commit in between.
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

/** Null for a token that is genuine and yet not whole: it stays as it is, and is counted. */
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
