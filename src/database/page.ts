import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { ConfigurationError } from '../errors.js';

/** Which part of a list to read. */
export interface PageRequest {
  /** Most items to read. Null: all that are left. */
  readonly limit: number | null;
  /** {@link Page.next} of the page before. Null: from the beginning. */
  readonly after: string | null;
}

export const EVERYTHING: PageRequest = { limit: null, after: null };

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** The position of the next page. Null: this is the last one. */
  readonly next: string | null;
  /** The number of items on all pages. */
  readonly total: number;
}

/** The columns that a list is ordered by. No two rows have both in common. */
export interface PageOrder {
  /** A time in milliseconds. */
  readonly at: string;
  readonly id: string;
  readonly direction: 'ASC' | 'DESC';
}

/** A whole list as one page. */
export function wholePage<T>(items: readonly T[]): Page<T> {
  return { items, next: null, total: items.length };
}

export function mapPage<T, U>(page: Page<T>, map: (item: T) => U): Page<U> {
  return { ...page, items: page.items.map(map) };
}

/**
 * Reads one page of a query by key, so that rows which come or go meanwhile do not shift it. Rows of the same time are
 * ordered by their ids.
 * @throws ConfigurationError USAGE_INVALID if `after` is no {@link Page.next}
 */
export async function readPage<Row extends ObjectLiteral>(
  query: SelectQueryBuilder<Row>,
  { at, id, direction }: PageOrder,
  { limit, after }: PageRequest,
): Promise<Page<Row>> {
  const total = await query.getCount();
  const [time, key] = [`${query.alias}.${at}`, `${query.alias}.${id}`];
  if (after !== null) {
    const earlier = direction === 'DESC' ? '<' : '>';
    query.andWhere(
      `(${time} ${earlier} :afterTime OR (${time} = :afterTime AND ${key} > :afterKey))`,
      readCursor(after),
    );
  }
  query.orderBy(time, direction).addOrderBy(key);
  if (limit === null) return { items: await query.getMany(), next: null, total };
  const rows = await query.limit(limit + 1).getMany();
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const next =
    rows.length > limit && last !== undefined ? cursorOf(last[at] as number, String(last[id])) : null;
  return { items, next, total };
}

function cursorOf(time: number, key: string): string {
  return Buffer.from(`${time} ${key}`).toString('base64url');
}

const LONGEST_CURSOR = 1_024;

function readCursor(cursor: string): { afterTime: number; afterKey: string } {
  const text = cursor.length > LONGEST_CURSOR ? '' : Buffer.from(cursor, 'base64url').toString();
  const [, time, key] = /^(\d{1,16}) (.+)$/s.exec(text) ?? [];
  if (time === undefined || key === undefined)
    throw new ConfigurationError('USAGE_INVALID', '--after: take what the list before said to go on with');
  return { afterTime: Number(time), afterKey: key };
}
