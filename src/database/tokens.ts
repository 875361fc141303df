import { In, MoreThan, Not, type EntitySchema, type ObjectLiteral } from 'typeorm';
import { FERNET_PREFIX } from '../terms.js';
import type { Transaction } from './database.js';
import { FINGERPRINT_KEY } from './fingerprint-key.js';
import type { ReferenceRow } from './rows.js';

/** The tables that hold Fernet tokens. `setting` is the last: see {@link SEALED_SETTINGS}. */
export const TOKEN_TABLES = ['secret_reference', 'dead_letter', 'outbox', 'setting'] as const;
export type TokenTable = (typeof TOKEN_TABLES)[number];

/** One token in the database. */
export interface StoredToken {
  readonly table: TokenTable;
  /** Primary key of its row. */
  readonly key: Readonly<Record<string, string>>;
  /** The column's text; `fernet:` + token, in `setting` the token alone. */
  readonly text: string;
  /** The whole row, if the token is part of the row's digest; else null. */
  readonly reference: ReferenceRow | null;
}

export interface TokenPage {
  readonly tokens: readonly StoredToken[];
  /** The position after which the next page begins. Null: this was the last page. */
  readonly next: string | null;
}

interface TokenColumn {
  readonly entity: EntitySchema<ObjectLiteral>;
  readonly column: string;
  readonly key: readonly string[];
  /** Rows of one page (of `secret_reference`: connections). Payloads may be as large as a record. */
  readonly pageSize: number;
}

/** Settings that are sealed: the key check, and the key of the fingerprints. */
const SEALED_SETTINGS = ['key_check', FINGERPRINT_KEY];

function columnOf({ tables }: Transaction, table: TokenTable): TokenColumn {
  const columns = {
    secret_reference: {
      entity: tables.reference,
      column: 'sealed',
      key: ['connectionId', 'pathHash'],
      pageSize: 200,
    },
    dead_letter: { entity: tables.deadLetter, column: 'payload', key: ['eventHash'], pageSize: 50 },
    outbox: { entity: tables.outbox, column: 'payload', key: ['id'], pageSize: 50 },
    setting: { entity: tables.setting, column: 'value', key: ['name'], pageSize: 50 },
  } satisfies Record<TokenTable, { entity: unknown } & Omit<TokenColumn, 'entity'>>;
  return columns[table];
}

/**
 * The tokens of a table behind a position (`''`: from the beginning), in the order of its primary key. Those of one
 * connection are never on two pages.
 */
export async function findTokens(tx: Transaction, table: TokenTable, after: string): Promise<TokenPage> {
  const { entity, column, key, pageSize } = columnOf(tx, table);
  const [order = ''] = key;
  const positions = await tx.manager
    .createQueryBuilder(entity, 'row')
    .select(`row.${order}`, 'position')
    .distinct(true)
    .where(`row.${order} > :after`, { after })
    .orderBy(`row.${order}`)
    .limit(pageSize)
    .getRawMany<{ position: string }>();
  const ids = positions.map(({ position }) => position);
  if (ids.length === 0) return { tokens: [], next: null };
  const wanted = table === 'setting' ? ids.filter((id) => SEALED_SETTINGS.includes(id)) : ids;
  const isReference = table === 'secret_reference';
  const rows = await tx.manager.find(entity, {
    where: { [order]: In(wanted), [column]: Not('') },
    ...(isReference ? {} : { select: Object.fromEntries([...key, column].map((name) => [name, true])) }),
  });
  const tokens = rows.map((row) => ({
    table,
    key: Object.fromEntries(key.map((name) => [name, String(row[name])])),
    text: String(row[column]),
    reference: isReference ? (row as ReferenceRow) : null,
  }));
  return { tokens, next: ids.length < pageSize ? null : (ids.at(-1) ?? null) };
}

/** How many rows {@link findTokens} goes through from a position on: for showing progress. */
export async function countTokens(tx: Transaction, table: TokenTable, after: string): Promise<number> {
  const { entity, key } = columnOf(tx, table);
  if (table === 'setting') return SEALED_SETTINGS.length;
  return tx.manager.count(entity, { where: { [key[0] ?? '']: MoreThan(after) } });
}

/** Characters at the end of a token, with its whole signature in them. No token is shorter. */
const END_CHARACTERS = 100;

/**
 * Replaces the token, unless the row has changed meanwhile. Returns whether it did.
 *
 * @param more columns to change along with the token
 */
export async function replaceToken(
  tx: Transaction,
  stored: StoredToken,
  token: string,
  more: Partial<ReferenceRow> = {},
): Promise<boolean> {
  const { entity, column } = columnOf(tx, stored.table);
  const { affected } = await tx.manager
    .createQueryBuilder()
    .update(entity)
    .set({ ...more, [column]: textOf(stored.table, token) })
    .where(stored.key)
    // Length and end identify the old token: with both tokens the statement would be twice as long as a row may be.
    .andWhere(`LENGTH(${column}) = :length AND SUBSTR(${column}, LENGTH(${column}) - :before) = :end`, {
      length: stored.text.length,
      before: END_CHARACTERS - 1,
      end: stored.text.slice(-END_CHARACTERS),
    })
    .execute();
  return affected === 1;
}

/** The raw token of a column's text. */
export function rawToken({ table, text }: StoredToken): string {
  return table === 'setting' || !text.startsWith(FERNET_PREFIX) ? text : text.slice(FERNET_PREFIX.length);
}

function textOf(table: TokenTable, token: string): string {
  return table === 'setting' ? token : FERNET_PREFIX + token;
}
